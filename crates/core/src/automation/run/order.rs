//! A stop on its way to an executor: asked for, told, acknowledged, with the time of each.
//!
//! The executor is another program, so a stop is an order that it reads in the answer to its next call. How long that
//! took is measured from the asking to the acknowledgement, and shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::record::StopKind;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = RunStopOrder)]
pub struct StopOrder {
    pub kind: StopKind,
    pub reason: String,
    pub requested_at_ms: u64,
    /// When an answer first carried it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at_ms: Option<u64>,
    /// When the executor said that it has stopped, or its lease ended without a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_at_ms: Option<u64>,
    /// From the asking to the acknowledgement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_after_ms: Option<u64>,
    /// The lease ran out before the executor said anything.
    #[serde(default)]
    pub by_lease: bool,
}

impl StopOrder {
    pub fn new(kind: StopKind, reason: &str, now_ms: u64) -> Self {
        let reason = crate::text::truncate(reason, super::record::LONGEST_REASON);
        Self {
            kind,
            reason,
            requested_at_ms: now_ms,
            delivered_at_ms: None,
            acknowledged_at_ms: None,
            acknowledged_after_ms: None,
            by_lease: false,
        }
    }

    /// Still to be told or to be acknowledged.
    pub fn is_open(&self) -> bool {
        self.acknowledged_at_ms.is_none()
    }

    /// Answers with whether this changed anything.
    pub fn delivered(&mut self, now_ms: u64) -> bool {
        let first = self.delivered_at_ms.is_none();
        self.delivered_at_ms.get_or_insert(now_ms);
        first
    }

    /// Answers with whether this changed anything.
    pub fn acknowledged(&mut self, now_ms: u64, by_lease: bool) -> bool {
        if !self.is_open() {
            return false;
        }
        self.acknowledged_at_ms = Some(now_ms);
        self.acknowledged_after_ms = Some(now_ms.saturating_sub(self.requested_at_ms));
        self.by_lease = by_lease;
        true
    }
}

/// What an executor is told in the answer to a claim, a heartbeat or a report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = RunDirectives)]
pub struct Directives {
    /// Stop working on the run, and say so with `stop_acknowledged`.
    pub stop: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<StopKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at_ms: Option<u64>,
}

impl Directives {
    pub fn stop(order: &StopOrder) -> Self {
        Self {
            stop: true,
            kind: Some(order.kind),
            reason: Some(order.reason.clone()),
            requested_at_ms: Some(order.requested_at_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_counts() {
        let mut order = StopOrder::new(StopKind::GuardrailStopped, "cap reached", 100);
        assert!(order.delivered(130) && !order.delivered(140));
        assert!(order.is_open());
        assert!(order.acknowledged(250, false) && !order.acknowledged(300, true));
        assert_eq!((order.delivered_at_ms, order.acknowledged_after_ms, order.by_lease), (Some(130), Some(150), false));
    }
}
