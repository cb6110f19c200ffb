//! Calls with an application's own token (RFC 6749, 4.4): it opens the accounts of a whole tenant, so the path has to
//! name the grant's user, and may name nobody else.

use super::CallRefused;
use std::borrow::Cow;

/// What of a user is somebody else: their name and address may be read there, and nothing beyond.
const OTHERS: [&str; 7] = [
    "createdObjects",
    "directReports",
    "manager",
    "memberOf",
    "ownedObjects",
    "transitiveMemberOf",
    "transitiveReports",
];

/// Whether a path below a user leads on from somebody else to what is theirs.
fn leads_on(below: &str) -> bool {
    let mut segments = below.split('/').filter(|segment| !segment.is_empty());
    let first = segments.next().unwrap_or_default();
    let is_other = OTHERS.iter().any(|name| name.eq_ignore_ascii_case(first));
    let beyond = match first.eq_ignore_ascii_case("manager") {
        true => segments.count(),
        // One of several is named first.
        false => segments.count().saturating_sub(1),
    };
    // No name of a relation has anything to encode.
    first.contains('%') || (is_other && beyond > 0)
}

/// Whether a segment is a version of the API.
fn is_version(segment: &str) -> bool {
    let is_numbered = segment
        .strip_prefix(['v', 'V'])
        .is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()));
    is_numbered || segment.eq_ignore_ascii_case("beta")
}

/// The path of a call for a user: `me` is written as `users/{id}`.
///
/// # Errors
/// If it leads elsewhere than to this user.
pub fn path_of_user<'a>(rest: &'a str, user_id: &str) -> Result<Cow<'a, str>, CallRefused> {
    let first = rest.split('/').next().unwrap_or_default();
    let (version, path) = match rest.split_once('/') {
        Some((version, path)) if is_version(first) => (Some(version), path),
        _ => (None, rest),
    };
    let (head, tail) = path.split_once('/').unwrap_or((path, ""));
    if head.eq_ignore_ascii_case("me") && !leads_on(tail) {
        let version = version.map_or_else(String::new, |version| format!("{version}/"));
        let tail = path.get(head.len()..).unwrap_or_default();
        return Ok(Cow::Owned(format!("{version}users/{user_id}{tail}")));
    }
    let (named, below) = tail.split_once('/').unwrap_or((tail, ""));
    let is_own = head.eq_ignore_ascii_case("users") && named.eq_ignore_ascii_case(user_id);
    if is_own && !leads_on(below) {
        return Ok(Cow::Borrowed(rest));
    }
    Err(CallRefused::OtherUser)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn me_becomes_the_user_and_nobody_else_can_be_named() {
        for (rest, sent) in [
            ("v1.0/me", "v1.0/users/u-1"),
            ("v1.0/me/messages", "v1.0/users/u-1/messages"),
            ("beta/Me/events/a%20b", "beta/users/u-1/events/a%20b"),
            ("me/messages/", "users/u-1/messages/"),
            ("v1.0/users/u-1/messages", "v1.0/users/u-1/messages"),
            ("v1.0/users/U-1", "v1.0/users/U-1"),
            ("v1.0/me/manager", "v1.0/users/u-1/manager"),
            (
                "v1.0/me/directReports/u-2",
                "v1.0/users/u-1/directReports/u-2",
            ),
        ] {
            assert_eq!(path_of_user(rest, "u-1").unwrap(), sent, "{rest}");
        }
        for rest in [
            "",
            "v1.0",
            "v1.0/users",
            "v1.0/users/u-2/messages",
            "v1.0/users/u-1x",
            "v1.0/users('u-2')/messages",
            "v1.0/$batch",
            "v1.0/%6de/messages",
            "v1.0/me()/messages",
            "v1.0//me/messages",
            "v1.0/v1.0/me",
            "x/me",
            "v1.0/groups/1",
            "v1.0/me/manager/messages",
            "v1.0/me//Manager/messages",
            "v1.0/users/u-1/directReports/u-2/messages",
            "v1.0/me/%6danager/messages",
        ] {
            assert_eq!(
                path_of_user(rest, "u-1"),
                Err(CallRefused::OtherUser),
                "{rest}"
            );
        }
    }
}
