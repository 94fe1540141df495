//! Whether a publish needs a person's approval. One pure function, used by preview, creation and publish alike.
//!
//! An admin's explicit `never` lifts inherited defaults (the global switch and the high-risk default). It lifts neither
//! another's `always` or `high_risk` nor a destination's own flag. How a policy comes to be trusted is the router's
//! business.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::wire_enum;

/// What a route, project or log source says about approval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalPolicy {
    #[default]
    Inherit,
    Always,
    HighRisk,
    Never,
}

/// Everything that decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// The risk level, raised to the floor, is high.
    pub high_risk: bool,
    /// Any of the destinations has `require_approval` (an implied destination's flag does not count).
    pub destination: bool,
    /// The winning route's policy.
    pub route: ApprovalPolicy,
    /// The trusted source binding's policy; a project's `require_approval_for_new_issues` is `always`.
    pub source: ApprovalPolicy,
    /// The global switch.
    pub global: bool,
    /// `safety_defaults.require_approval_for_high_risk`.
    pub high_risk_default: bool,
}

wire_enum! {
    /// What demands an approval.
    pub enum Ground {
        Destination = "destination_requires_approval",
        Route = "route_always",
        Source = "source_always",
        RouteHighRisk = "route_high_risk",
        SourceHighRisk = "source_high_risk",
        Global = "global_switch",
        HighRiskDefault = "high_risk_default",
    }
}

/// Whether approval is needed.
pub fn required(inputs: &Inputs) -> bool {
    Ground::ALL.iter().any(|ground| applies(*ground, inputs))
}

/// Everything that asks for approval.
pub fn grounds(inputs: &Inputs) -> Vec<Ground> {
    Ground::ALL.iter().copied().filter(|ground| applies(*ground, inputs)).collect()
}

fn applies(ground: Ground, i: &Inputs) -> bool {
    use ApprovalPolicy as P;
    let lifted = i.route == P::Never || i.source == P::Never;
    match ground {
        Ground::Destination => i.destination,
        Ground::Route => i.route == P::Always,
        Ground::Source => i.source == P::Always,
        Ground::RouteHighRisk => i.route == P::HighRisk && i.high_risk,
        Ground::SourceHighRisk => i.source == P::HighRisk && i.high_risk,
        Ground::Global => i.global && !lifted,
        Ground::HighRiskDefault => i.high_risk_default && i.high_risk && !lifted,
    }
}

#[cfg(test)]
mod tests {
    use super::{ApprovalPolicy as P, *};

    const POLICIES: [P; 4] = [P::Inherit, P::Always, P::HighRisk, P::Never];

    fn every() -> impl Iterator<Item = Inputs> {
        (0..256u32).map(|n| Inputs {
            high_risk: n & 1 != 0,
            destination: n & 2 != 0,
            global: n & 4 != 0,
            high_risk_default: n & 8 != 0,
            route: POLICIES[(n >> 4 & 3) as usize],
            source: POLICIES[(n >> 6 & 3) as usize],
        })
    }

    /// Written the long way round: whoever asks, in turn.
    fn expected(i: &Inputs) -> bool {
        if i.destination {
            return true;
        }
        let mut exempt = false;
        for policy in [i.route, i.source] {
            match policy {
                P::Always => return true,
                P::HighRisk => {
                    if i.high_risk {
                        return true;
                    }
                }
                P::Never => exempt = true,
                P::Inherit => {}
            }
        }
        if exempt {
            return false;
        }
        if i.high_risk { i.global || i.high_risk_default } else { i.global }
    }

    #[test]
    fn the_whole_table() {
        for inputs in every() {
            assert_eq!(required(&inputs), expected(&inputs), "{inputs:?}");
            assert_eq!(grounds(&inputs).is_empty(), !required(&inputs), "{inputs:?}");
        }
    }

    #[test]
    fn a_never_lifts_defaults_and_nothing_else() {
        for inputs in every() {
            for lifted in [Inputs { route: P::Never, ..inputs }, Inputs { source: P::Never, ..inputs }] {
                // A destination's flag survives any policy.
                assert!(required(&lifted) || !inputs.destination, "{lifted:?}");
            }
            // The other side's strictness survives.
            assert!(required(&Inputs { route: P::Always, source: P::Never, ..inputs }));
            assert!(required(&Inputs { route: P::Never, source: P::Always, ..inputs }));
            assert!(required(&Inputs { route: P::HighRisk, source: P::Never, high_risk: true, ..inputs }));
        }
        let bare = Inputs { high_risk: true, global: true, high_risk_default: true, ..Inputs::default() };
        assert!(required(&bare));
        assert!(!required(&Inputs { route: P::Never, ..bare }));
        assert!(!required(&Inputs { source: P::Never, ..bare }));
    }

    #[test]
    fn more_risk_or_a_stricter_flag_never_removes_an_approval() {
        for inputs in every().filter(required) {
            assert!(required(&Inputs { high_risk: true, ..inputs }));
            assert!(required(&Inputs { destination: true, ..inputs }));
            assert!(required(&Inputs { global: true, ..inputs }));
            assert!(required(&Inputs { high_risk_default: true, ..inputs }));
        }
    }
}
