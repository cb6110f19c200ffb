//! Rules of calls on behalf of a grant: where a call may go, and which headers cross, in each direction.
//!
//! What always holds: nothing a caller sends changes the host, the scheme, the port or the credentials of
//! the call. A path is judged after every number of decodings a server on the way might apply, and is
//! then sent exactly as it came.

mod headers;
mod user;

pub use headers::{Direction, crosses, is_hop_by_hop};
pub use user::path_of_user;

use percent_encoding::percent_decode;
use std::borrow::Cow;
use url::Url;

/// What stands before the grant in a proxied path.
const PREFIX: &str = "/v3/grants/";
/// A path that is still encoded after so many decodings is refused: no API encodes deeper.
const DECODINGS_MAX: usize = 4;

/// A proxied path, taken apart but not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyPath<'a> {
    /// The segment that names the grant.
    pub grant: &'a str,
    /// What follows `proxy/`.
    pub rest: &'a str,
}

impl<'a> ProxyPath<'a> {
    /// Reads `/v3/grants/{grant}/proxy/{rest}`; `None` for every other path.
    #[must_use]
    pub fn read(path: &'a str) -> Option<Self> {
        let (grant, after) = path.strip_prefix(PREFIX)?.split_once('/')?;
        let rest = after.strip_prefix("proxy")?;
        match rest.strip_prefix('/') {
            Some(rest) => Some(Self { grant, rest }),
            None => rest.is_empty().then_some(Self { grant, rest }),
        }
    }
}

/// Why a call is not sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallRefused {
    /// A character that no URL holds as it is.
    #[error(
        "the path and query must be printable ASCII without backslashes; encode everything else"
    )]
    Character,
    /// A `%` that begins no encoding.
    #[error("the path has a '%' that is not followed by two hexadecimal digits")]
    Encoding,
    /// A path that starts with a slash of its own.
    #[error("the path after 'proxy/' must not start with '/'")]
    EmptyFirstSegment,
    /// `.` or `..`, in whatever encoding.
    #[error("the path must have no '.' or '..' segments, encoded or not")]
    DotSegment,
    /// A slash, a backslash or a control character that is encoded.
    #[error("the path must have no encoded slashes, backslashes or control characters")]
    EncodedSeparator,
    /// Encoded over and over, or not UTF-8 once decoded.
    #[error("the path is encoded more than once, or not as UTF-8")]
    TooDeep,
    /// A token in the query.
    #[error("the query must not carry a token: the call is made with the grant's own")]
    TokenInQuery,
    /// An application's own token, and a path that does not lead to the grant's user.
    #[error(
        "this grant's calls are made with its application's own token, and may be made for its own user only: begin the path with 'v1.0/me/' or 'v1.0/users/{{id of the user}}/'"
    )]
    OtherUser,
    /// A host that is not on the provider's list.
    #[error("this host is not one of the provider's; docs/api-additions.md lists them")]
    Host,
}

/// Where calls to one host go. Made from the operator's configuration or the catalogue alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiBase {
    /// Whether calls go over TLS.
    pub is_tls: bool,
    /// The host, without port.
    pub host: String,
    /// Host and port as `Host` names them.
    pub authority: String,
    /// What every path begins with; empty, or `/…` without a slash at its end.
    prefix: String,
}

impl ApiBase {
    /// The base a URL names: `http` or `https`, without user, query and fragment.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !is_plain || !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        let host = url.host_str()?.to_owned();
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.clone(),
        };
        Some(Self {
            is_tls: url.scheme() == "https",
            host,
            authority,
            prefix: url.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Path and query of a call, as they stand in the request to the provider.
    ///
    /// # Errors
    /// If path or query could mean another place or other credentials to anybody on the way.
    pub fn target(&self, rest: &str, query: Option<&str>) -> Result<String, CallRefused> {
        check_path(rest)?;
        let query_len = query.map_or(0, |query| query.len() + 1);
        let mut target = String::with_capacity(self.prefix.len() + 1 + rest.len() + query_len);
        target.push_str(&self.prefix);
        target.push('/');
        target.push_str(rest);
        if let Some(query) = query {
            check_query(query)?;
            target.push('?');
            target.push_str(query);
        }
        Ok(target)
    }
}

/// What may stand in a path or query as it is. A fragment never leaves a client.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && !matches!(byte, b'\\' | b'#')
}

/// Judges what follows `proxy/`, at every depth of encoding.
fn check_path(rest: &str) -> Result<(), CallRefused> {
    if !rest.bytes().all(|byte| is_plain(byte) && byte != b'?') {
        return Err(CallRefused::Character);
    }
    if rest.starts_with('/') {
        return Err(CallRefused::EmptyFirstSegment);
    }
    check_segments(rest.as_bytes())?;
    if !rest.as_bytes().contains(&b'%') {
        return Ok(());
    }
    check_escapes(rest.as_bytes())?;
    check_decoded(rest)
}

fn check_escapes(path: &[u8]) -> Result<(), CallRefused> {
    let mut after = path.split(|byte| *byte == b'%').skip(1);
    let is_escape =
        |text: &[u8]| matches!(text, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    if after.all(is_escape) {
        Ok(())
    } else {
        Err(CallRefused::Encoding)
    }
}

/// A segment that some server takes for "here" or "up"; parameters after a semicolon, and blanks around it,
/// are dropped by some before they look.
fn is_dot_segment(segment: &[u8]) -> bool {
    let name = segment
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default();
    matches!(name.trim_ascii(), b"." | b"..")
}

fn check_segments(path: &[u8]) -> Result<(), CallRefused> {
    match path.split(|byte| *byte == b'/').any(is_dot_segment) {
        true => Err(CallRefused::DotSegment),
        false => Ok(()),
    }
}

/// Judges a path decoded once, twice, and so on until nothing is left to decode.
fn check_decoded(rest: &str) -> Result<(), CallRefused> {
    let slashes = count_slashes(rest.as_bytes());
    let mut level: Cow<'_, [u8]> = Cow::Borrowed(rest.as_bytes());
    for _ in 0..DECODINGS_MAX {
        let decoded: Vec<u8> = percent_decode(&level).collect();
        if decoded == *level {
            return Ok(());
        }
        let is_separator = |byte: &u8| byte.is_ascii_control() || *byte == b'\\';
        if decoded.iter().any(is_separator) || count_slashes(&decoded) != slashes {
            return Err(CallRefused::EncodedSeparator);
        }
        if std::str::from_utf8(&decoded).is_err() {
            // Overlong forms of '/' and '.' hide here.
            return Err(CallRefused::TooDeep);
        }
        check_segments(&decoded)?;
        level = Cow::Owned(decoded);
    }
    Err(CallRefused::TooDeep)
}

fn count_slashes(path: &[u8]) -> usize {
    path.iter().filter(|byte| **byte == b'/').count()
}

/// Names under which APIs take an access token from the query (RFC 6750, 2.3, and Google's own).
const TOKEN_PARAMETERS: [&str; 2] = ["access_token", "oauth_token"];

fn check_query(query: &str) -> Result<(), CallRefused> {
    if !query.bytes().all(is_plain) {
        return Err(CallRefused::Character);
    }
    // Some servers part parameters at semicolons, too.
    let carries_token = query.split(['&', ';']).any(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        let name = percent_decode(name.as_bytes()).decode_utf8_lossy();
        TOKEN_PARAMETERS
            .iter()
            .any(|token| name.trim_matches(['+', ' ']).eq_ignore_ascii_case(token))
    });
    if carries_token {
        return Err(CallRefused::TokenInQuery);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
