//! Changing limits through the API. Null gives a limit back to the environment.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    limits::{Base, FIELDS, LimitsRow},
    sweep::Sweep,
};
use crate::{
    decide::{Ask, Decided, Decision, Desk},
    error::{Code, Failure},
    record::{JobKind, Write},
};

#[derive(Debug)]
pub struct ChangeLimits {
    pub base: Arc<Base>,
    pub changes: Map<String, Value>,
}

impl Decision for ChangeLimits {
    type Outcome = LimitsRow;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<LimitsRow>(LimitsRow::ID)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<LimitsRow> {
        let mut row = desk.get::<LimitsRow>(LimitsRow::ID)?.unwrap_or_default();
        let before = row.overrides.clone();
        for (field, value) in &self.changes {
            if !FIELDS.iter().any(|(known, _)| known == field) {
                let detail = format!("`{}` is no limit", crate::text::truncate(field, 80));
                return Err(Failure::of(Code::LimitsInvalid).with("detail", detail).into());
            }
            if value.is_null() {
                row.overrides.remove(field);
            } else {
                row.overrides.insert(field.clone(), value.clone());
            }
        }
        if let Err(detail) = self.base.with(&row.overrides) {
            return Err(Failure::of(Code::LimitsInvalid).with("detail", detail).into());
        }
        if row.overrides == before {
            return Ok(row);
        }
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
                subject: sweep.word().into(),
                due_at_ms: desk.now_ms(),
            });
        }
        Ok(row)
    }
}
