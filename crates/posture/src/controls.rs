//! Which controls a rule is evidence for. A reference says where an assessor may use a result; it never says that a
//! control is met.
//!
//! A rule belongs to one theme, and a theme has its references in each framework. So a new rule needs a line, not four.

use serde::{Deserialize, Serialize};
use tandem_core::wire_enum;
use utoipa::ToSchema;

use crate::posture::table as rules;

wire_enum! {
    #[schema(as = ControlFramework)]
    pub enum Framework {
        EuAiAct = "eu_ai_act",
        NistAiRmf = "nist_ai_rmf",
        Iso42001 = "iso_42001",
        Soc2 = "soc_2",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ControlReference)]
pub struct Control {
    pub framework: Framework,
    /// `Art. 14`, `MANAGE 2.4`, `A.6.2.8`, `CC6.1`, …
    pub control: String,
    /// What a result is evidence for.
    pub evidence_for: String,
}

wire_enum! {
    #[schema(as = ControlTheme)]
    pub enum Theme {
        HumanOversight = "human_oversight",
        LeastAuthority = "least_authority",
        Boundary = "boundary",
        OutsideEffects = "outside_effects",
        Records = "records",
        Data = "data",
        Retention = "retention",
        Credentials = "credentials",
        Ownership = "ownership",
        Inventory = "inventory",
        Change = "change",
        Custody = "custody",
    }
}

type Reference = (Framework, &'static str, &'static str);

use Framework::{EuAiAct as Eu, Iso42001 as Iso, NistAiRmf as Nist, Soc2 as Soc};

impl Theme {
    fn references(self) -> &'static [Reference] {
        match self {
            Self::HumanOversight => &[
                (Eu, "Art. 14", "evidence for human oversight of actions that change something"),
                (Eu, "Art. 26(2)", "evidence for the assignment of oversight by the deployer"),
                (Nist, "MAP 3.5", "evidence for defined processes of human oversight"),
                (Nist, "MANAGE 2.4", "evidence for mechanisms that stop or hold what an AI system does"),
                (Iso, "A.9.2", "evidence for processes of responsible use"),
                (Soc, "CC5.2", "evidence for control activities over technology"),
                (Soc, "CC6.1", "evidence for authorisation before access to what is protected"),
            ],
            Self::LeastAuthority => &[
                (Eu, "Art. 15", "evidence for robustness against misuse of what the system may call"),
                (Nist, "GOVERN 6.1", "evidence for policies on third-party software and tools"),
                (Nist, "MEASURE 2.7", "evidence for the evaluation of security"),
                (Iso, "A.4.4", "evidence for documented tooling resources"),
                (Soc, "CC6.3", "evidence for least privilege"),
            ],
            Self::Boundary => &[
                (Eu, "Art. 10", "evidence for data governance along the boundary of tenants"),
                (Nist, "MAP 1.1", "evidence for a known context of use"),
                (Iso, "A.10.2", "evidence for responsibilities that are allocated between parties"),
                (Soc, "CC6.1", "evidence for logical separation"),
                (Soc, "CC6.6", "evidence for boundaries against outside systems"),
            ],
            Self::OutsideEffects => &[
                (Eu, "Art. 9", "evidence for measures against known risks"),
                (Nist, "MANAGE 1.3", "evidence for responses to prioritised risks"),
                (Iso, "A.9.4", "evidence for use as intended"),
                (Soc, "CC6.6", "evidence for boundaries against outside systems"),
                (Soc, "CC6.7", "evidence for restricted transmission"),
            ],
            Self::Records => &[
                (Eu, "Art. 12", "evidence for automatic records of events"),
                (Nist, "MEASURE 2.8", "evidence for transparency and accountability"),
                (Iso, "A.6.2.8", "evidence for event logs"),
                (Soc, "CC7.2", "evidence for the monitoring of components"),
            ],
            Self::Data => &[
                (Eu, "Art. 10", "evidence for governance, origin and quality of data"),
                (Nist, "MEASURE 2.10", "evidence for examined privacy risk"),
                (Iso, "A.7.4", "evidence for the quality of data"),
                (Iso, "A.7.5", "evidence for the provenance of data"),
                (Soc, "C1.1", "evidence for identified confidential information"),
            ],
            Self::Retention => &[
                (Eu, "Art. 19", "evidence for the retention of logs"),
                (Eu, "Art. 26(6)", "evidence for the deployer's retention of logs"),
                (Nist, "GOVERN 1.4", "evidence for transparent risk management policies"),
                (Iso, "A.6.2.8", "evidence for event logs that are kept"),
                (Soc, "C1.2", "evidence for disposal"),
            ],
            Self::Credentials => &[
                (Eu, "Art. 15(5)", "evidence for resilience against unauthorised use"),
                (Nist, "MEASURE 2.7", "evidence for the evaluation of security"),
                (Iso, "A.4.5", "evidence for documented system resources"),
                (Soc, "CC6.1", "evidence for the management of credentials"),
                (Soc, "CC6.2", "evidence for credentials that are issued and removed"),
            ],
            Self::Ownership => &[
                (Eu, "Art. 17(1)(m)", "evidence for an accountability framework"),
                (Nist, "GOVERN 2.1", "evidence for documented roles and responsibilities"),
                (Iso, "A.3.2", "evidence for roles and responsibilities"),
                (Soc, "CC1.3", "evidence for reporting lines and authority"),
            ],
            Self::Inventory => &[
                (Eu, "Art. 26(5)", "evidence for the monitoring of systems in use"),
                (Nist, "GOVERN 1.6", "evidence for an inventory of AI systems"),
                (Iso, "A.4.2", "evidence for documented resources"),
                (Soc, "CC6.1", "evidence for an inventory of what is protected"),
            ],
            Self::Change => &[
                (Eu, "Art. 72", "evidence for monitoring after a system went into use"),
                (Nist, "MANAGE 3.1", "evidence for the monitoring of third-party resources"),
                (Nist, "MANAGE 4.1", "evidence for monitoring plans after deployment"),
                (Iso, "A.10.3", "evidence for the control of suppliers"),
                (Soc, "CC8.1", "evidence for authorised changes"),
                (Soc, "CC9.2", "evidence for managed vendor risk"),
            ],
            Self::Custody => &[
                (Eu, "Art. 19", "evidence for logs that are kept under control"),
                (Nist, "MEASURE 2.8", "evidence for transparency and accountability"),
                (Iso, "A.8.4", "evidence for the communication of incidents"),
                (Soc, "CC7.2", "evidence for the monitoring of components"),
                (Soc, "CC7.3", "evidence for the evaluation of events"),
            ],
        }
    }
}

/// The theme of a rule; none for an unknown one.
pub fn theme(rule_id: &str) -> Option<Theme> {
    Some(match rule_id {
        rules::TOOL_WITHOUT_APPROVAL
        | rules::DESTINATION_WITHOUT_APPROVAL
        | rules::ROUTE_NEVER
        | rules::AUTO_PUBLISH
        | rules::APPROVAL_WAITING
        | rules::DECLARED_TOOL_WITHOUT_APPROVAL => Theme::HumanOversight,
        rules::MCP_WITHOUT_ALLOWLIST
        | rules::SERVER_WITHOUT_ALLOWLIST
        | rules::DECLARED_SERVER_WITHOUT_ALLOWLIST
        | rules::RECURRING_DENIAL => Theme::LeastAuthority,
        rules::MISSING_TENANT => Theme::Boundary,
        rules::BROAD_SCOPE
        | rules::FAIL_OPEN
        | rules::NO_DESTINATION_POLICY
        | rules::GENERIC_MCP
        | rules::ROUTE_SHADOWED
        | rules::ROUTE_UNREACHABLE => Theme::OutsideEffects,
        rules::MISSING_RECEIPT | rules::LOG_TAMPERED => Theme::Records,
        rules::SOURCE_READINESS | rules::REDACTION_OFF => Theme::Data,
        rules::RETENTION_UNSET => Theme::Retention,
        rules::KEY_UNUSED
        | rules::KEY_WITHOUT_EXPIRY
        | rules::KEY_OVER_SCOPED
        | rules::KEY_UNKNOWN_PROJECT
        | rules::TOKEN_WITHOUT_EXPIRY => Theme::Credentials,
        rules::AGENT_WITHOUT_SPONSOR
        | rules::DECLARED_WITHOUT_OWNER
        | rules::CARD_MISSING
        | rules::CARD_UNSIGNED
        | rules::CARD_STALE => Theme::Ownership,
        rules::DECLARED_STALE => Theme::Inventory,
        rules::TOOL_DRIFT => Theme::Change,
        rules::SELF_WITHOUT_EXPORT => Theme::Custody,
        _ => return None,
    })
}

/// The controls of a theme.
pub fn of_theme(theme: Theme) -> Vec<Control> {
    let control = |(framework, control, evidence_for): &Reference| Control {
        framework: *framework,
        control: (*control).into(),
        evidence_for: (*evidence_for).into(),
    };
    theme.references().iter().map(control).collect()
}

/// The controls of a rule; none for an unknown one.
pub fn of(rule_id: &str) -> Vec<Control> {
    theme(rule_id).map(of_theme).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_evidence_in_every_framework() {
        for rule in rules::RULES {
            let controls = of(rule.id);
            for framework in Framework::ALL {
                assert!(controls.iter().any(|control| control.framework == *framework), "{} {framework}", rule.id);
            }
            assert!(controls.iter().all(|control| control.evidence_for.starts_with("evidence for ")), "{}", rule.id);
        }
        assert!(of("no_such_rule").is_empty());
    }
}
