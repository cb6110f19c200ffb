//! Digests: the store keeps no token, and identifiers are derived rather than drawn.

use aws_lc_rs::{constant_time, digest as sha};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;

/// SHA-256 of a code, token or session: what the store knows it by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn of(text: &str) -> Self {
        let mut out = [0; 32];
        for (to, from) in out
            .iter_mut()
            .zip(sha::digest(&sha::SHA256, text.as_bytes()).as_ref())
        {
            *to = *from;
        }
        Self(out)
    }

    pub(crate) fn base64url(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Enough to tell digests apart in a log, too little to look anything up with.
    pub(crate) fn short(self) -> String {
        self.base64url().chars().take(16).collect()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

/// Compares secrets without telling by the time taken where they differ.
pub(crate) fn are_equal(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

/// A number of 21 digits derived from `text`, the shape of a Google `sub`.
pub(crate) fn decimal(text: &str) -> String {
    let digits = Digest::of(text)
        .0
        .iter()
        .fold(0_u128, |n, byte| n.rotate_left(8) ^ u128::from(*byte));
    format!("1{:020}", digits % 100_000_000_000_000_000_000)
}

/// A UUID derived from `text`, the shape of a Microsoft `oid`.
pub(crate) fn uuid(text: &str) -> String {
    let bits = Digest::of(text)
        .0
        .iter()
        .take(16)
        .fold(0_u128, |n, byte| (n << 8) | u128::from(*byte));
    let bits = (bits & !(0xf << 76) & !(0b11 << 62)) | (0x4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_identifiers_have_the_shape_of_the_real_ones() {
        assert_eq!(decimal("x").len(), 21);
        let uuid = uuid("x");
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.chars().nth(14), Some('4'));
    }

    #[test]
    fn debug_output_of_a_digest_is_cut_short() {
        assert!(format!("{:?}", Digest::of("x")).len() < 30);
    }
}
