//! What tokens cost.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    limits::{Limits, Unpriced},
    money::Usd,
};

/// Dollars per thousand tokens of a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    pub prompt_per_1k_usd: Usd,
    pub completion_per_1k_usd: Usd,
}

/// Usage since the last report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub total_tokens: u64,
    /// What the executor says it cost.
    pub cost_usd: Option<f64>,
    pub model: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    Known(Usd),
    /// No price is known; charged at the price for that case.
    Estimated(Usd),
    /// No price is known, and the policy refuses such usage.
    Refused,
}

/// The cost of a report: the model's price, else what the executor says, else what the policy says. An executor cannot
/// make a priced model cheaper than its price.
pub fn cost(usage: &Usage, limits: &Limits) -> Cost {
    let total = usage.total_tokens.max(usage.prompt_tokens.saturating_add(usage.completion_tokens));
    let said = usage.cost_usd.filter(|cost| cost.is_finite()).map(Usd::of);
    let price = usage.model.as_deref().and_then(|model| limits.model_prices.get(model));
    if let Some(price) = price {
        // Tokens that are not told apart cost what the dearer kind costs.
        let rest = total - usage.prompt_tokens.saturating_add(usage.completion_tokens).min(total);
        let dearer = price.prompt_per_1k_usd.max(price.completion_per_1k_usd);
        let listed = of(usage.prompt_tokens, price.prompt_per_1k_usd)
            .plus(of(usage.completion_tokens, price.completion_per_1k_usd))
            .plus(of(rest, dearer));
        return Cost::Known(said.unwrap_or(Usd::ZERO).max(listed));
    }
    match said {
        Some(said) if !said.is_zero() || total == 0 => Cost::Known(said),
        // Tokens for nothing are tokens without a price.
        Some(_) | None if total > 0 => match limits.unpriced_model_policy {
            Unpriced::Refuse => Cost::Refused,
            Unpriced::Flag => Cost::Estimated(of(total, limits.unpriced_cost_per_1k_usd)),
        },
        Some(_) | None => Cost::Known(Usd::ZERO),
    }
}

fn of(tokens: u64, per_1k: Usd) -> Usd {
    per_1k.times(tokens as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_never_free() {
        let mut limits = Limits::default();
        let price = Price { prompt_per_1k_usd: Usd::of(1.0), completion_per_1k_usd: Usd::of(2.0) };
        limits.model_prices.insert("m".into(), price);
        let usage = |prompt, completion, total, cost_usd: Option<f64>, model: &str| Usage {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: total,
            cost_usd,
            model: Some(model.into()),
        };
        let cases = [
            (usage(1000, 500, 0, None, "m"), Cost::Known(Usd::of(2.0))),
            (usage(0, 0, 1000, None, "m"), Cost::Known(Usd::of(2.0))),
            (usage(1000, 0, 0, Some(0.0), "m"), Cost::Known(Usd::of(1.0))),
            (usage(1000, 0, 0, Some(5.0), "m"), Cost::Known(Usd::of(5.0))),
            (usage(1000, 0, 0, Some(0.5), "other"), Cost::Known(Usd::of(0.5))),
            (usage(1000, 0, 0, Some(0.0), "other"), Cost::Estimated(Usd::of(0.06))),
            (usage(500, 500, 0, None, "other"), Cost::Estimated(Usd::of(0.06))),
            (usage(1000, 0, 0, Some(f64::NAN), "other"), Cost::Estimated(Usd::of(0.06))),
            (usage(1000, 0, 0, Some(-3.0), "other"), Cost::Estimated(Usd::of(0.06))),
            (usage(0, 0, 0, None, "other"), Cost::Known(Usd::ZERO)),
        ];
        for (usage, expected) in cases {
            assert_eq!(cost(&usage, &limits), expected, "{usage:?}");
        }
        limits.unpriced_model_policy = Unpriced::Refuse;
        assert_eq!(cost(&usage(1, 0, 0, None, "other"), &limits), Cost::Refused);
        assert_eq!(cost(&usage(u64::MAX, 1, 0, None, "m"), &limits), Cost::Known(Usd::of(f64::INFINITY)));
    }
}
