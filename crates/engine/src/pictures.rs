//! Pictures that applications put on their pages. The server gets them itself, behind the address guard: a browser
//! that asked for them elsewhere would tell a third party of the sign-in.

use crate::engine::Engine;
use crate::error::Error;
use bytes::Bytes;
use keyway_core::application::Application;
use keyway_core::ids::ApplicationId;
use keyway_core::time::UnixMillis;
use keyway_outbound::Request;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// The largest picture, in bytes, as upstream.
const PICTURE_MAX_BYTES: usize = 1024 * 1024;
/// How long its host may take: a page is waiting.
const PICTURE_LIMIT: Duration = Duration::from_secs(5);
/// How long one is remembered, in milliseconds.
const KEPT_MS: i64 = 3_600_000;
/// How long it is remembered that there is none, in milliseconds.
const MISSED_MS: i64 = 60_000;
/// What remembered pictures take in all, in bytes.
const REMEMBERED_BYTES: u64 = 32 * 1024 * 1024;
/// What one counts for beside its bytes.
const ONE_BYTES: u64 = 1024;

/// Which picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PictureOf {
    /// `branding.icon_url`.
    Icon,
    /// `hosted_authentication.background_image_url`.
    Background,
}

/// A picture.
#[derive(Clone, Debug)]
pub struct Picture {
    /// What it is, by its first bytes and not by what its host says.
    pub content_type: &'static str,
    /// The picture.
    pub bytes: Bytes,
}

/// One picture of one version of an application.
pub(crate) type Key = (ApplicationId, i64, PictureOf);

/// Pictures count by their size.
#[derive(Clone)]
pub(crate) struct BySize;

impl quick_cache::Weighter<Key, Looked> for BySize {
    fn weight(&self, _: &Key, looked: &Looked) -> u64 {
        let bytes = looked
            .picture
            .as_ref()
            .map_or(0, |picture| picture.bytes.len());
        ONE_BYTES.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX))
    }
}

/// Pictures remembered.
pub(crate) type Pictures = quick_cache::sync::Cache<Key, Looked, BySize>;

/// An empty memory of pictures.
pub(crate) fn pictures() -> Pictures {
    Pictures::with_weighter(PICTURES_USUAL, REMEMBERED_BYTES, BySize)
}

/// How many are usually remembered.
const PICTURES_USUAL: usize = 64;

/// A picture, or that there was none, and when that was.
#[derive(Clone)]
pub(crate) struct Looked {
    at: UnixMillis,
    picture: Option<Arc<Picture>>,
}

impl Looked {
    fn is_fresh(&self, now: UnixMillis) -> bool {
        let kept_ms = match self.picture {
            Some(_) => KEPT_MS,
            None => MISSED_MS,
        };
        now.0.saturating_sub(self.at.0) < kept_ms
    }
}

impl PictureOf {
    fn url(self, application: &Application) -> Option<Url> {
        let (object, member) = match self {
            Self::Icon => ("branding", "icon_url"),
            Self::Background => ("hosted_authentication", "background_image_url"),
        };
        let url = application.profile.get(object)?.get(member);
        let url = Url::parse(url.and_then(Value::as_str)?.trim()).ok()?;
        (url.scheme() == "https").then_some(url)
    }
}

/// The kinds of pictures that browsers show and that can hold no script.
fn content_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        _ => None,
    }
}

impl Engine {
    /// A picture of an application.
    ///
    /// # Errors
    /// If there is no such application, it names none, or what it names is none that can be had.
    pub async fn picture(&self, id: ApplicationId, of: PictureOf) -> Result<Arc<Picture>, Error> {
        let application = self.public_application(id).await?;
        let none = || Error::not_found("The application has no such picture.");
        let url = of.url(&application).ok_or_else(none)?;
        let key = (id, application.version, of);
        let looked = &self.inner.pictures;
        if looked
            .get(&key)
            .is_some_and(|seen| !seen.is_fresh(self.now()))
        {
            looked.remove(&key);
        }
        let found = looked.get_or_insert_async(&key, async {
            let picture = self.look_at(url).await;
            let at = self.now();
            Ok::<_, Error>(Looked { at, picture })
        });
        found.await?.picture.ok_or_else(none)
    }

    async fn look_at(&self, url: Url) -> Option<Arc<Picture>> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let call = Request::get(url)
            .with_guarded_port()
            .with_deadline(PICTURE_LIMIT)
            .with_max_response_bytes(PICTURE_MAX_BYTES);
        let answer = match self.inner.parts.transport.send(call).await {
            Ok(answer) if answer.status.is_success() => answer,
            Ok(answer) => {
                tracing::warn!(host, status = %answer.status, "an application's picture is not there");
                return None;
            }
            Err(error) => {
                tracing::warn!(host, %error, "an application's picture cannot be had");
                return None;
            }
        };
        let bytes = answer.body;
        let Some(content_type) = content_type(&bytes) else {
            tracing::warn!(
                host,
                "an application's picture is none of PNG, JPEG, GIF and WebP"
            );
            return None;
        };
        Some(Arc::new(Picture {
            content_type,
            bytes,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_known_by_their_first_bytes() {
        assert_eq!(content_type(b"\x89PNG\r\n\x1a\nrest"), Some("image/png"));
        assert_eq!(content_type(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(content_type(b"GIF89a"), Some("image/gif"));
        assert_eq!(content_type(b"RIFF\0\0\0\0WEBP"), Some("image/webp"));
        for no in [
            &b"<svg xmlns="[..],
            b"<html>",
            b"",
            b"GIF8",
            b"RIFF\0\0\0\0WAVE",
        ] {
            assert_eq!(content_type(no), None);
        }
    }
}
