//! Which provider an address belongs to, among those an application can connect.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use keyway_core::connector::Connector;
use keyway_core::detect::{MailHost, exchange_host, mail_host};
use keyway_core::email::looks_like_email;
use keyway_core::ids::ApplicationId;
use keyway_core::page::LIMIT_MAX;
use keyway_core::provider::Provider;
use keyway_core::time::UnixMillis;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Detections an application may ask for in a minute, as documented upstream.
const DETECTIONS_PER_MINUTE: usize = 20;
/// That minute, in milliseconds.
const DETECTION_WINDOW_MS: i64 = 60_000;

/// Who asks for a detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// An API key.
    Key(Caller),
    /// A page that knows the application's client id and proves nothing.
    Page(ApplicationId),
}

/// What a detection found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detection {
    /// The address.
    pub email_address: String,
    /// Its provider, if one is known.
    pub provider: Option<Provider>,
    /// For IMAP, which kind.
    pub imap_type: Option<&'static str>,
}

/// When the detections of the last minute were asked for. Pages count apart from keys, so that a
/// stranger who knows a client id cannot use up what the application's servers may ask.
#[derive(Default)]
pub(crate) struct DetectionLimiter(Mutex<HashMap<(ApplicationId, bool), VecDeque<UnixMillis>>>);

impl DetectionLimiter {
    /// Counts one more detection, or says after how many seconds there may be one.
    fn admit(&self, application: ApplicationId, is_page: bool, now: UnixMillis) -> Result<(), u32> {
        let begin = UnixMillis(now.0.saturating_sub(DETECTION_WINDOW_MS));
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Quiet applications need no row.
        asked.retain(|_, times| times.back().is_some_and(|last| *last > begin));
        let times = asked.entry((application, is_page)).or_default();
        times.retain(|at| *at > begin);
        match times.front() {
            Some(first) if times.len() >= DETECTIONS_PER_MINUTE => {
                let wait_ms = first.0.saturating_sub(begin.0);
                Err(u32::try_from(wait_ms.saturating_add(999) / 1000).unwrap_or(60))
            }
            _ => {
                times.push_back(now);
                Ok(())
            }
        }
    }
}

impl Engine {
    /// Which provider `email` belongs to by its domain, or by who takes the domain's mail: among the application's connectors, or among all
    /// there are. Where the host's own connector is missing, an IMAP connector serves.
    ///
    /// # Errors
    /// If `email` is no address, the application does not exist or is barred, or has asked too often.
    pub async fn detect_provider(
        &self,
        asker: Asker,
        email: &str,
        all_provider_types: bool,
    ) -> Result<Detection, Error> {
        if !looks_like_email(email) {
            let message = "email: must be an e-mail address";
            return Err(Error::new(ErrorKind::InvalidQuery, message));
        }
        let (application_id, is_page) = match asker {
            Asker::Key(caller) => (caller.application_id, false),
            Asker::Page(id) => {
                self.refuse_unknown_or_blocked(id).await?;
                (id, true)
            }
        };
        self.inner
            .detections
            .admit(application_id, is_page, self.now())
            .map_err(too_many)?;
        let found = match self.host_of(email).await {
            Some(host) if all_provider_types => Some(own(host)),
            Some(host) => among(&self.connected(application_id).await?, host),
            None => None,
        };
        Ok(Detection {
            email_address: email.to_owned(),
            provider: found.map(|(provider, _)| provider),
            imap_type: found.and_then(|(_, imap_type)| imap_type),
        })
    }

    /// Among `connectors`, for a person who is signing in and has typed an address. Well-known domains cost
    /// nothing; looking others up counts among the application's pages, and beyond their share nothing is
    /// found.
    pub(crate) async fn detect_among(
        &self,
        application_id: ApplicationId,
        connectors: &[Connector],
        email: &str,
    ) -> Option<Provider> {
        let known = mail_host(email);
        let may_look_up = known.is_some() || {
            let asked = &self.inner.detections;
            asked.admit(application_id, true, self.now()).is_ok()
        };
        let host = match may_look_up {
            true => self.host_of(email).await?,
            false => return None,
        };
        let connected: Vec<Provider> = connectors.iter().map(|c| c.provider).collect();
        among(&connected, host).map(|(provider, _)| provider)
    }

    /// By the domain alone where it is well known, else by the hosts that take its mail.
    async fn host_of(&self, email: &str) -> Option<MailHost> {
        if let Some(host) = mail_host(email) {
            return Some(host);
        }
        let (_, domain) = email.rsplit_once('@')?;
        exchange_host(&self.inner.parts.mail_exchangers.of(domain).await)
    }

    async fn refuse_unknown_or_blocked(&self, id: ApplicationId) -> Result<(), Error> {
        if self.public_application(id).await?.blocked {
            let message = "Application blocked, contact administrator.";
            return Err(Error::new(ErrorKind::Blocked, message));
        }
        Ok(())
    }

    async fn connected(&self, application_id: ApplicationId) -> Result<Vec<Provider>, Error> {
        let job = self.store().read(move |s| {
            Box::pin(async move { s.connectors(application_id, LIMIT_MAX, 0).await })
        });
        Ok(job.await?.iter().map(|c| c.provider).collect())
    }
}

fn too_many(secs: u32) -> Error {
    let message = format!(
        "Too many requests: provider detection answers an application {DETECTIONS_PER_MINUTE} times a minute."
    );
    Error::new(ErrorKind::RateLimited, message).retry_after(secs)
}

/// The host's own provider; the kind is told of IMAP alone.
fn own(host: MailHost) -> (Provider, Option<&'static str>) {
    let is_imap = host.provider == Provider::Imap;
    (host.provider, host.imap_type.filter(|_| is_imap))
}

fn among(connected: &[Provider], host: MailHost) -> Option<(Provider, Option<&'static str>)> {
    if connected.contains(&host.provider) {
        return Some(own(host));
    }
    let imap_type = host.imap_type?;
    connected
        .contains(&Provider::Imap)
        .then_some((Provider::Imap, Some(imap_type)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_imap_connector_serves_where_the_hosts_own_is_missing() {
        let host = |email| mail_host(email).unwrap();
        let both = [Provider::Yahoo, Provider::Imap];
        let yahoo = host("a@yahoo.com");
        assert_eq!(among(&both, yahoo), Some((Provider::Yahoo, None)));
        assert_eq!(
            among(&[Provider::Imap], yahoo),
            Some((Provider::Imap, Some("yahoo")))
        );
        assert_eq!(among(&[Provider::Google], yahoo), None);
        assert_eq!(among(&[Provider::Imap], host("a@outlook.com")), None);
        assert_eq!(own(host("a@gmx.de")), (Provider::Imap, Some("gmx")));
        assert_eq!(own(host("a@icloud.com")), (Provider::Icloud, None));
    }

    #[test]
    fn rule_08_twenty_a_minute_and_nobody_uses_up_anothers() {
        let limiter = DetectionLimiter::default();
        let admit = |app, is_page, ms| {
            limiter.admit(ApplicationId::from_u128(app), is_page, UnixMillis(ms))
        };
        for n in 0..20 {
            assert_eq!(admit(1, false, 1000 + n), Ok(()));
        }
        assert_eq!(admit(1, false, 2000), Err(59));
        assert_eq!(admit(1, true, 2000), Ok(()));
        assert_eq!(admit(2, false, 2000), Ok(()));
        assert_eq!(admit(1, false, 60_999), Err(1));
        assert_eq!(admit(1, false, 61_000), Ok(()));
        assert_eq!(admit(1, false, 61_000), Err(1));
        assert_eq!(limiter.0.lock().unwrap().len(), 3);
        assert_eq!(admit(3, false, 500_000), Ok(()));
        assert_eq!(limiter.0.lock().unwrap().len(), 1);
    }
}
