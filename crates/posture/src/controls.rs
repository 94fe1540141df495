//! Which controls a rule is evidence for. A reference says where an assessor may use a result; it never says that a
//! control is met.

use serde::{Deserialize, Serialize};
use tandem_core::wire_enum;
use utoipa::ToSchema;

wire_enum! {
    pub enum Framework {
        EuAiAct = "eu_ai_act",
        NistAiRmf = "nist_ai_rmf",
        Iso42001 = "iso_42001",
        Soc2 = "soc_2",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Control {
    pub framework: Framework,
    /// `Art. 14`, `MANAGE 2.4`, `A.6.2.8`, `CC6.1`, …
    pub control: String,
    /// What a result is evidence for.
    pub evidence_for: String,
}

/// The controls of a rule; none for an unknown one.
pub fn of(_rule_id: &str) -> Vec<Control> {
    Vec::new()
}
