//! Random choices that a printed number repeats.

/// SplitMix64: enough for choosing moments and sizes.
#[derive(Clone, Debug)]
pub struct Seed(u64);

impl Seed {
    /// The seed in the variable, or one from the clock. It is printed, so that a failure can be repeated.
    pub fn from_env(variable: &str) -> Self {
        let given = std::env::var(variable).ok().and_then(|text| text.trim().parse().ok());
        let seed = given.unwrap_or_else(crate::now_ms);
        println!("{variable}={seed}");
        Self(seed)
    }

    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `from..to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next_u64() % (to - from).max(1)
    }
}
