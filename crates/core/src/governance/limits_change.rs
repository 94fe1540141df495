//! Changing limits through the API, by a person. Null gives a limit back to the environment.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    approval::Resource,
    dual,
    limits::{Base, FIELDS, LimitsRow},
    mutate,
    sweep::Sweep,
};
use crate::{
    decide::{Ask, Decided, Decision, Desk},
    error::{Code, Failure},
    record::{JobKind, Waiting, Write},
};

#[derive(Debug)]
pub struct ChangeLimits {
    pub base: Arc<Base>,
    pub changes: Map<String, Value>,
    /// Of another person, where the change takes away what two persons watch over.
    pub approval_id: Option<String>,
}

/// What an approval for a change of limits is about.
pub fn target() -> Resource {
    Resource { kind: "governance_limits".into(), id: LimitsRow::ID.into() }
}

/// Amounts of usage that are below zero count as nothing. In a limit that would be the strictest of caps, or a price of
/// nothing, and neither is what somebody can have meant.
fn below_zero(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_some_and(|number| number < 0.0),
        Value::Array(items) => items.iter().any(below_zero),
        Value::Object(fields) => fields.values().any(below_zero),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

impl Decision for ChangeLimits {
    type Outcome = LimitsRow;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<LimitsRow>(LimitsRow::ID)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<LimitsRow> {
        mutate::people_only(desk)?;
        let mut row = desk.get::<LimitsRow>(LimitsRow::ID)?.unwrap_or_default();
        let before = row.overrides.clone();
        for (field, value) in &self.changes {
            if !FIELDS.iter().any(|(known, _)| known == field) {
                let detail = format!("`{}` is no limit", crate::text::truncate(field, 80));
                return Err(Failure::of(Code::LimitsInvalid).with("detail", detail).into());
            }
            if below_zero(value) {
                let detail = format!("`{field}` must not be negative");
                return Err(Failure::of(Code::LimitsInvalid).with("detail", detail).into());
            }
            if value.is_null() {
                row.overrides.remove(field);
            } else {
                row.overrides.insert(field.clone(), value.clone());
            }
        }
        let limits = self.base.effective(desk)?;
        let changed = match self.base.with(&row.overrides) {
            Ok(changed) => changed,
            Err(detail) => return Err(Failure::of(Code::LimitsInvalid).with("detail", detail).into()),
        };
        if row.overrides == before {
            return Ok(row);
        }
        // Whom two persons hold to account does not dismiss the second one alone.
        let loosens =
            (limits.dual_control && !changed.dual_control) || limits.review_policies != changed.review_policies;
        let control = match loosens {
            true => dual::check(
                desk,
                &limits,
                dual::Action::LoosenLimits,
                &target(),
                self.approval_id.as_deref(),
                &Value::Object(self.changes.clone()),
            )?,
            false => dual::Control::NotNeeded,
        };
        row.updated_at_ms = desk.now_ms();
        desk.save(&row);
        let changed: Map<String, Value> = self
            .changes
            .keys()
            .map(|field| (field.clone(), json!({ "before": before.get(field), "after": row.overrides.get(field) })))
            .collect();
        desk.audit("automation.governance.limits.updated", json!({ "changed": changed }));
        // A shorter interval holds from now on.
        for sweep in Sweep::ALL {
            desk.write(Write::JobsWake {
                kind: JobKind::Sweep,
                of: Waiting::Subject(sweep.word().into()),
                due_at_ms: desk.now_ms(),
            });
        }
        control.consume(desk, &json!({ "changed": row.overrides }))?;
        Ok(row)
    }
}
