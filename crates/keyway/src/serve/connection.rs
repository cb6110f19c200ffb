//! Accepting connections and speaking HTTP on them.

use super::crowd::{Crowd, Room};
use super::lane::Lane;
use super::metrics::Shed;
use super::patient::Patient;
use super::peer::Peer;
use super::places::Place;
use super::streams::{Streams, noted};
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a connection may stay silent before a request, and how long the head of one may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest head of a request, in bytes. Sign-ins bring cookies with them.
const HEAD_LIMIT_BYTES: usize = 64 * 1024;
/// The most headers of a request.
const HEADERS_MAX: usize = 100;
/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 100;
/// How long a connection that is sent away has to take the rest of its last answer.
const PARTING: Duration = Duration::from_secs(5);
/// How often an HTTP/2 peer is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long accepting rests when the system has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections for one thread and serves them on that thread's runtime.
pub(super) struct Acceptor {
    lane: Arc<Lane>,
    crowd: Arc<Crowd>,
    stop: CancellationToken,
    http: Builder<Streams>,
}

impl Acceptor {
    pub(super) fn new(lane: Arc<Lane>, crowd: Arc<Crowd>, stop: CancellationToken) -> Self {
        let cut_off = lane.clone();
        let streams = Streams::new(lane.write_timeout(), move || cut_off.note(Shed::Reader));
        Self {
            lane,
            crowd,
            stop,
            http: http(streams),
        }
    }

    /// Accepts until it is asked to stop, then waits for the requests under way.
    pub(super) async fn run(&self, socket: std::net::TcpListener) -> io::Result<()> {
        let listener = TcpListener::from_std(socket)?;
        let tracker = TaskTracker::new();
        while let Some((stream, peer, room)) = self.accept(&listener).await {
            tracker.spawn(self.serve(stream, peer, room));
        }
        drop(listener);
        tracker.close();
        tracker.wait().await;
        Ok(())
    }

    /// The next connection, once there is room for it. `None` when asked to stop.
    async fn accept(&self, listener: &TcpListener) -> Option<(TcpStream, Arc<Peer>, Room)> {
        let next = async {
            loop {
                match listener.accept().await {
                    Ok((stream, address)) => {
                        let peer = Peer::new(self.lane.clone(), address);
                        // Nobody else is accepted meanwhile: they wait in the system's queue.
                        let room = self.crowd.admit(&peer).await?;
                        return Some((stream, peer, room));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection was not accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            accepted = next => accepted,
        }
    }

    /// Serves one connection to its end.
    fn serve(
        &self,
        stream: TcpStream,
        peer: Arc<Peer>,
        room: Room,
    ) -> impl Future<Output = ()> + Send + 'static {
        // Answers are written whole; waiting to fill a packet would only delay them.
        drop(stream.set_nodelay(true));
        let lane = self.lane.clone();
        let stream = Patient::new(stream, lane.write_timeout(), move || {
            lane.note(Shed::Reader);
        });
        let asking = peer.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let place = Place::take(asking.clone());
            async move {
                let mut answer = pin!(Lane::route(place, request));
                poll_fn(move |cx| noted(answer.as_mut().poll(cx)).map(Ok::<_, Infallible>)).await
            }
        });
        let connection = self
            .http
            .serve_connection_with_upgrades(TokioIo::new(stream), service)
            .into_owned();
        let stop = self.stop.clone();
        async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                biased;
                ended = connection.as_mut() => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
                () = peer.sent_away() => {
                    connection.as_mut().graceful_shutdown();
                    parting(connection, &peer).await
                }
                // Silent from the start, or in the middle of its first head or of HTTP/2's preface.
                () = peer.never_asks(HEAD_TIMEOUT) => Ok(()),
            };
            if let Err(error) = ended {
                tracing::debug!(error, "a connection broke off");
            }
            drop(room);
        }
    }
}

/// The end of a connection that was asked to leave.
async fn parting<E>(
    mut connection: Pin<&mut impl Future<Output = Result<(), E>>>,
    peer: &Peer,
) -> Result<(), E> {
    // Nothing was ever asked: there is nothing to finish.
    if !peer.has_asked() {
        return Ok(());
    }
    // The last answer may not have been sent yet to its end, although its request is over.
    match tokio::time::timeout(PARTING, connection.as_mut()).await {
        Ok(ended) => ended,
        Err(_) if peer.is_idle() => Ok(()),
        // A request had come just then.
        Err(_) => connection.await,
    }
}

fn http(streams: Streams) -> Builder<Streams> {
    let mut builder = Builder::new(streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_LIMIT_BYTES)
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_LIMIT_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_INTERVAL);
    builder
}
