//! Drift: how far a rate of the current window is from that of the window before.

use std::collections::{BTreeMap, BTreeSet};

use tandem_core::{governance::policy::Effect, publish::DeliveryState, text::non_blank};

use super::{Drift, Facts, Settings, Span, measure::rate};

/// A part of a whole, in one window.
#[derive(Clone, Copy, Default)]
struct Share {
    part: u64,
    whole: u64,
}

pub(super) fn signals(facts: &Facts, settings: &Settings) -> Vec<Drift> {
    let both = |share: &dyn Fn(&Span) -> Share| [share(&settings.window.current), share(&settings.window.baseline)];
    let mut all = vec![
        drift("publish_failure_rate".into(), both(&|span| failures(facts, span)), settings),
        drift("denied_action_rate".into(), both(&|span| denials(facts, span)), settings),
        drift("escalation_rate".into(), both(&|span| escalations(facts, span)), settings),
    ];
    let current = categories(facts, &settings.window.current);
    let baseline = categories(facts, &settings.window.baseline);
    let wholes = [current.values().sum(), baseline.values().sum()];
    let names: BTreeSet<&String> = current.keys().chain(baseline.keys()).collect();
    all.extend(names.into_iter().map(|name| {
        let of = |map: &BTreeMap<String, u64>, whole| Share { part: map.get(name).copied().unwrap_or(0), whole };
        let shares = [of(&current, wholes[0]), of(&baseline, wholes[1])];
        shifted(format!("incident_category_share:{name}"), shares, settings)
    }));
    all
}

fn share<T>(rows: impl Iterator<Item = T>, is_part: impl Fn(&T) -> bool) -> Share {
    rows.fold(Share::default(), |share, row| Share {
        part: share.part + u64::from(is_part(&row)),
        whole: share.whole + 1,
    })
}

fn failures(facts: &Facts, span: &Span) -> Share {
    let sent = facts.receipts.iter().filter(|receipt| span.holds(receipt.updated_at_ms));
    let settled = sent.filter(|receipt| receipt.status != DeliveryState::Pending);
    share(settled, |receipt| receipt.status == DeliveryState::Failed)
}

fn denials(facts: &Facts, span: &Span) -> Share {
    let made = facts.decisions.iter().filter(|decision| span.holds(decision.created_at_ms));
    share(made.filter(|decision| decision.decision != Effect::ApprovalRequired), |d| d.decision == Effect::Deny)
}

fn escalations(facts: &Facts, span: &Span) -> Share {
    let made = facts.decisions.iter().filter(|decision| span.holds(decision.created_at_ms));
    share(made, |decision| decision.decision == Effect::ApprovalRequired)
}

fn categories(facts: &Facts, span: &Span) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for incident in facts.incidents.iter().filter(|incident| span.holds(incident.updated_at_ms)) {
        let name = non_blank(incident.risk_category.as_deref()).unwrap_or("uncategorized");
        *counts.entry(name.to_owned()).or_insert(0) += 1;
    }
    counts
}

/// Not evaluable when a window is empty.
fn drift(signal: String, [current, baseline]: [Share; 2], settings: &Settings) -> Drift {
    let rates = (rate(current.part, current.whole), rate(baseline.part, baseline.whole));
    told(signal, rates, [current, baseline], settings)
}

/// The same for a share among others: one that is absent counts as 0, also in an empty window.
fn shifted(signal: String, [current, baseline]: [Share; 2], settings: &Settings) -> Drift {
    let of = |share: Share| Some(rate(share.part, share.whole).unwrap_or(0.0));
    told(signal, (of(current), of(baseline)), [current, baseline], settings)
}

fn told(
    signal: String,
    (current_rate, baseline_rate): (Option<f64>, Option<f64>),
    [current, baseline]: [Share; 2],
    settings: &Settings,
) -> Drift {
    let delta = current_rate.zip(baseline_rate).map(|(current, baseline)| (current - baseline).abs());
    let delta_max = settings.thresholds.drift_rate_delta_max;
    Drift {
        signal,
        current_rate,
        baseline_rate,
        delta,
        delta_max,
        drift_flagged: delta.is_some_and(|delta| delta > delta_max),
        evaluable: delta.is_some(),
        current_sample: current.whole,
        baseline_sample: baseline.whole,
        low_sample: current.whole.min(baseline.whole) < settings.minimum_sample,
    }
}
