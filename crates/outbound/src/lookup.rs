//! Names to addresses, by the machine's own resolver.
//!
//! A lookup takes a thread and cannot be stopped: whoever gives it up leaves the thread waiting for a name server, which
//! may be a stranger's and never answer. So names that have not been found before share a few places, held until the
//! thread is free again, and names that were found lately have places of their own each: what strangers name takes
//! nothing from the providers.

use crate::connector::GuardError;
use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Lookups at once of all names that were not found before.
const UNKNOWN_AT_ONCE: usize = 64;
/// Lookups at once of one name that was found before.
const KNOWN_AT_ONCE: usize = 8;
/// Names remembered as found.
const KNOWN_MAX: usize = 1000;

type Places = Arc<Semaphore>;

/// Looks names up, in a bounded number of threads.
pub(crate) struct Lookups {
    unknown: Places,
    known: Arc<Mutex<HashMap<String, Places>>>,
}

impl Default for Lookups {
    fn default() -> Self {
        Self {
            unknown: Arc::new(Semaphore::new(UNKNOWN_AT_ONCE)),
            known: Arc::default(),
        }
    }
}

impl Lookups {
    /// The addresses of `host`, each with `port`.
    pub(crate) async fn find(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, GuardError> {
        self.find_by(host, move |host| {
            (host, port).to_socket_addrs().map(Vec::from_iter)
        })
        .await
    }

    async fn find_by(
        &self,
        host: &str,
        look_up: impl FnOnce(&str) -> std::io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> Result<Vec<SocketAddr>, GuardError> {
        let host = host.to_ascii_lowercase();
        let place = self.places(&host).acquire_owned().await;
        let place = place.map_err(|_| GuardError::Unresolved)?;
        let known = Arc::clone(&self.known);
        let looked = tokio::task::spawn_blocking(move || {
            let found = look_up(&host);
            remember(&known, host, found.is_ok());
            drop(place);
            found
        });
        let found = looked.await.map_err(|_| GuardError::Unresolved)?;
        found.map_err(|_| GuardError::Unresolved)
    }

    fn places(&self, host: &str) -> Places {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.get(host).unwrap_or(&self.unknown))
    }
}

/// Which names are known is a matter of what was found last. When there are too many all begin anew: being unknown
/// costs nothing but places.
fn remember(known: &Mutex<HashMap<String, Places>>, host: String, is_found: bool) {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_found {
        known.remove(&host);
    } else if !known.contains_key(&host) {
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(host, Arc::new(Semaphore::new(KNOWN_AT_ONCE)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use tokio::runtime::Handle;

    fn here() -> std::io::Result<Vec<SocketAddr>> {
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], 1))])
    }

    /// A lookup that tells when it begins, and ends when `ends` is dropped.
    fn hang(began: &Sender<()>, ends: &Receiver<()>) -> std::io::Result<Vec<SocketAddr>> {
        began.send(()).unwrap();
        let _ = ends.recv();
        Err(std::io::Error::other("no answer"))
    }

    #[tokio::test]
    async fn lookups_given_up_keep_their_places_and_known_names_have_their_own() {
        let lookups = Arc::new(Lookups::default());
        let found = lookups.find_by("Provider.test", |_| here()).await;
        assert_eq!(found, Ok(here().unwrap()));
        let mut hanging = Vec::new();
        for n in 0..UNKNOWN_AT_ONCE {
            let (began, begins) = channel();
            let (end, ends) = channel();
            let look_up = move |_: &str| hang(&began, &ends);
            let given_up = {
                let lookups = Arc::clone(&lookups);
                let host = format!("{n}.stranger.test");
                Handle::current().spawn(async move { lookups.find_by(&host, look_up).await })
            };
            tokio::task::spawn_blocking(move || begins.recv().unwrap())
                .await
                .unwrap();
            given_up.abort();
            hanging.push(end);
        }
        assert_eq!(lookups.unknown.available_permits(), 0);
        let found = lookups.find_by("provider.TEST", |_| here()).await;
        assert_eq!(found, Ok(here().unwrap()));
        drop(hanging);
        let found = lookups.find_by("another.test", |_| here()).await;
        assert_eq!(found, Ok(here().unwrap()));
    }

    #[tokio::test]
    async fn a_name_that_is_found_no_more_is_unknown_again() {
        let lookups = Lookups::default();
        let is_known = |host: &str| !Arc::ptr_eq(&lookups.places(host), &lookups.unknown);
        lookups.find_by("a.test", |_| here()).await.unwrap();
        assert!(is_known("a.test") && !is_known("b.test"));
        let gone = |_: &str| Err(std::io::Error::other("gone"));
        assert_eq!(
            lookups.find_by("a.test", gone).await,
            Err(GuardError::Unresolved)
        );
        assert!(!is_known("a.test"));
    }

    #[tokio::test]
    async fn the_names_remembered_have_an_end() {
        let known = Mutex::default();
        for n in 0..=KNOWN_MAX {
            remember(&known, n.to_string(), true);
        }
        assert_eq!(known.lock().unwrap().len(), 1);
    }
}
