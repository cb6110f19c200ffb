//! The listeners of one port, one for each thread.

use crate::config::setting::Setting;
use crate::failure::Failure;
use anyhow::Context as _;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Connections the system keeps waiting for each thread.
const BACKLOG: i32 = 1024;

/// What the system may hold of an answer that is not sent yet, for each connection, in bytes. Whatever a fast
/// caller needs is on its way; the rest would only wait here, and hide from us that nobody takes it.
#[cfg(target_os = "linux")]
const UNSENT_MAX_BYTES: u32 = 128 * 1024;

/// Sockets that share one address.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// The address, with the port the system chose if it was asked to.
    pub(crate) address: SocketAddr,
    /// One socket for each thread.
    pub(crate) sockets: Vec<TcpListener>,
}

/// Listens `count` times on `address`.
///
/// # Errors
/// If it is taken, or not this machine's.
pub(crate) fn bind(address: &Setting<SocketAddr>, count: usize) -> anyhow::Result<Listeners> {
    let bound = bind_all(address.value, count.max(1));
    bound.with_context(|| {
        let what = format!("cannot listen on {} ({})", address.value, address.origin);
        Failure::new(what).next("Stop what listens there, or choose another address with --listen.")
    })
}

fn bind_all(wanted: SocketAddr, count: usize) -> io::Result<Listeners> {
    refuse_shared(wanted)?;
    let first = open(wanted)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    while sockets.len() < count {
        sockets.push(open(address)?);
    }
    Ok(Listeners { address, sockets })
}

/// With `SO_REUSEPORT` a second server would quietly get half of the first one's connections. Without it
/// the system refuses an address that somebody listens on.
fn refuse_shared(address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let probe = socket(address)?;
    probe.bind(&address.into())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart need not wait until the last connections' remains have left the system.
    socket.set_reuse_address(true)?;
    Ok(socket)
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    // Connections inherit it.
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT_MAX_BYTES)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> Setting<SocketAddr> {
        Setting::default_value("127.0.0.1:0".parse().unwrap())
    }

    #[test]
    fn all_threads_share_the_port_the_first_one_got() {
        let listeners = bind(&any(), 3).unwrap();
        assert_eq!(listeners.sockets.len(), 3);
        for socket in &listeners.sockets {
            assert_eq!(socket.local_addr().unwrap(), listeners.address);
        }
    }

    #[test]
    fn a_port_that_another_server_listens_on_is_refused() {
        let first = bind(&any(), 1).unwrap();
        let error = bind(&Setting::default_value(first.address), 1).unwrap_err();
        assert!(error.to_string().contains("cannot listen on"), "{error}");
        drop(first.sockets);
        assert!(bind(&Setting::default_value(first.address), 1).is_ok());
    }
}
