//! The system's source of randomness.

use aws_lc_rs::rand;
use keyway_core::entropy::Entropy;

/// Random bytes from the cryptographic library's generator, seeded by the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::expect_used,
        reason = "nothing may go on with bytes that are not random"
    )]
    fn fill(&self, out: &mut [u8]) {
        rand::fill(out).expect("the system's random generator works");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        SystemEntropy.fill(&mut a);
        SystemEntropy.fill(&mut b);
        assert_ne!(a, b);
        assert_ne!(a, [0; 32]);
    }
}
