//! What is asked for: the end and length of the window, and thresholds in place of the usual ones.

use serde::{Deserialize, Serialize};
use tandem_core::error::{Code, Failure};
use utoipa::ToSchema;

use super::{Span, Thresholds, Window};

/// Seven days.
pub const DEFAULT_WINDOW_MS: u64 = 604_800_000;
/// Fewer events than this say little about a rate.
const MINIMUM_SAMPLE: u64 = 5;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = GovernanceMetricsRequest)]
#[serde(default)]
pub struct Request {
    /// The end of the current window; now by default.
    #[serde(alias = "toMs")]
    pub to_ms: Option<u64>,
    /// The length of each window; 0 means seven days.
    #[serde(alias = "windowMs")]
    pub window_ms: Option<u64>,
    /// Each from 0 to 1; what is left out keeps its default.
    pub thresholds: Option<Overrides>,
    /// Rates over fewer events are marked.
    #[serde(alias = "minimumSample")]
    pub minimum_sample: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = MetricThresholdOverrides)]
#[serde(default)]
pub struct Overrides {
    #[serde(alias = "governanceConfidenceMin")]
    pub governance_confidence_min: Option<f64>,
    #[serde(alias = "authorityBoundaryComplianceMin")]
    pub authority_boundary_compliance_min: Option<f64>,
    #[serde(alias = "escalationUtilizationMin")]
    pub escalation_utilization_min: Option<f64>,
    #[serde(alias = "routeReadinessMin")]
    pub route_readiness_min: Option<f64>,
    #[serde(alias = "receiptCompletenessMin")]
    pub receipt_completeness_min: Option<f64>,
    #[serde(alias = "driftRateDeltaMax")]
    pub drift_rate_delta_max: Option<f64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub window: Window,
    pub thresholds: Thresholds,
    pub minimum_sample: u64,
}

/// The settings that a request comes to.
pub fn settings(request: &Request, now_ms: u64) -> Result<Settings, Failure> {
    let to_ms = request.to_ms.unwrap_or(now_ms);
    let window_ms = request.window_ms.filter(|ms| *ms > 0).unwrap_or(DEFAULT_WINDOW_MS);
    let start = to_ms.saturating_sub(window_ms);
    let span = |from_ms, to_ms, label: &str| Span { from_ms, to_ms, label: label.into() };
    Ok(Settings {
        window: Window {
            current: span(start, to_ms, "current"),
            baseline: span(start.saturating_sub(window_ms), start, "baseline"),
            window_ms,
        },
        thresholds: thresholds(request.thresholds.as_ref())?,
        minimum_sample: request.minimum_sample.unwrap_or(MINIMUM_SAMPLE).max(1),
    })
}

fn thresholds(overrides: Option<&Overrides>) -> Result<Thresholds, Failure> {
    let mut all = Thresholds::default();
    let Some(sent) = overrides else { return Ok(all) };
    let slots = [
        ("governance_confidence_min", sent.governance_confidence_min, &mut all.governance_confidence_min),
        (
            "authority_boundary_compliance_min",
            sent.authority_boundary_compliance_min,
            &mut all.authority_boundary_compliance_min,
        ),
        ("escalation_utilization_min", sent.escalation_utilization_min, &mut all.escalation_utilization_min),
        ("route_readiness_min", sent.route_readiness_min, &mut all.route_readiness_min),
        ("receipt_completeness_min", sent.receipt_completeness_min, &mut all.receipt_completeness_min),
        ("drift_rate_delta_max", sent.drift_rate_delta_max, &mut all.drift_rate_delta_max),
    ];
    for (name, value, slot) in slots {
        let Some(value) = value else { continue };
        if !(0.0..=1.0).contains(&value) {
            let why = format!("thresholds.{name} must be from 0 to 1.");
            return Err(Failure::new(Code::ValidationFailed, why)
                .status(400)
                .with("field", format!("thresholds.{name}")));
        }
        *slot = value;
    }
    Ok(all)
}
