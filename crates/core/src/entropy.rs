//! Randomness as a value: whoever needs random bits is given an [`Entropy`] to ask.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Where random bytes come from. The system's source lives with the cryptography, in the vault.
pub trait Entropy: Send + Sync {
    /// Fills `out` with random bytes.
    fn fill(&self, out: &mut [u8]);
}

/// `N` random bytes from `entropy`.
pub fn random_bytes<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut out = [0; N];
    entropy.fill(&mut out);
    out
}

/// Bits that differ from one another and cost next to nothing: SplitMix64 from a seed. The same seed gives the
/// same bits, which makes tests repeatable; anybody can compute the next ones from a few, so nothing that is
/// to be kept secret comes from here.
#[derive(Debug)]
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// A source that yields the same bytes for the same seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    fn next(&self) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15_u64;
        let mut z = self.0.fetch_add(step, Relaxed).wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            for (to, from) in chunk.iter_mut().zip(self.next().to_le_bytes()) {
                *to = from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_gives_others() {
        let first: [u8; 20] = random_bytes(&SeededEntropy::new(1));
        assert_eq!(first, random_bytes::<20>(&SeededEntropy::new(1)));
        assert_ne!(first, random_bytes::<20>(&SeededEntropy::new(2)));
    }
}
