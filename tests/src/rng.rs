//! Numbers that look random and can be had again: each test names its seed.

/// xorshift64.
#[derive(Debug)]
pub struct Rng(u64);

impl Rng {
    /// From a seed; any will do.
    #[must_use]
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number of `range`.
    pub fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        range.start + self.0 % (range.end - range.start)
    }
}
