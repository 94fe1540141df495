//! US dollars, exact to a billionth, so that many small charges add up to what they are.
//!
//! On the wire an amount is a number of dollars. Negative amounts and what is no number count as nothing: a report may
//! add to what was spent and never take away.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

const NANO: f64 = 1e9;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = f64)]
pub struct Usd(u64);

impl Usd {
    pub const ZERO: Self = Self(0);

    /// The nearest amount; nothing for negative numbers and for what is none.
    pub fn of(dollars: f64) -> Self {
        // The cast saturates, and takes NaN for 0.
        Self((dollars.max(0.0) * NANO).round() as u64)
    }

    pub fn dollars(self) -> f64 {
        self.0 as f64 / NANO
    }

    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The part of an amount, rounded up.
    pub fn times(self, ratio: f64) -> Self {
        Self((self.0 as f64 * ratio.max(0.0)).ceil() as u64)
    }

    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl std::fmt::Display for Usd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.4} USD", self.dollars())
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_f64(self.dollars())
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        f64::deserialize(input).map(Self::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_amounts_are_nothing_and_round_trips_are_exact() {
        for odd in [-1.0, f64::NAN, f64::NEG_INFINITY, -0.0] {
            assert_eq!(Usd::of(odd), Usd::ZERO);
        }
        let tenth = Usd::of(0.1);
        let sum = (0..10).fold(Usd::ZERO, |sum, _| sum.plus(tenth));
        assert_eq!(sum, Usd::of(1.0), "ten tenths are one");
        let text = serde_json::to_string(&Usd::of(8.25)).unwrap();
        assert_eq!((text.as_str(), serde_json::from_str::<Usd>(&text).unwrap()), ("8.25", Usd::of(8.25)));
        assert_eq!(Usd::of(f64::INFINITY).plus(tenth), Usd::of(f64::INFINITY));
    }
}
