//! Every limit of governance with its default, its environment variable, and where its value comes from.
//!
//! A value set through the API wins over the environment, and that over the default. What the API set is a row of the
//! tenant, changed with an audit row; what the environment says is read once, when the server starts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{approval::RequestType, money::Usd, price::Price, record::ReviewKind};
use crate::{
    automation::spec::ExecutionProfile,
    decide::{Decided, Desk, Halt},
    record::{Collection, Column, Record},
    wire::wire_enum,
};

wire_enum! {
    /// Where the value of a limit comes from.
    pub enum Source {
        Default = "default",
        Environment = "environment",
        Api = "api",
    }
}

wire_enum! {
    /// What happens to usage of a model that has no price.
    pub enum Unpriced {
        /// The report is refused until a price or a cost is named.
        Refuse = "refuse",
        /// It is charged at `unpriced_cost_per_1k_usd`, and the automation gets a finding.
        Flag = "flag",
    }
}

/// How many reviewers a request needs, who they may be, and when they are reminded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewPolicy {
    /// Absent: every type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_type: Option<RequestType>,
    /// Absent: every risk. Else the `risk_tier` of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<String>,
    /// Approvals needed, 1 by default.
    #[serde(default = "one")]
    pub approve: u32,
    /// Denials that settle it, 1 by default.
    #[serde(default = "one")]
    pub deny: u32,
    /// The only ones who may decide; empty means every eligible person.
    #[serde(default)]
    pub reviewers: Vec<String>,
    /// A reminder is due this long after the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind_after_ms: Option<u64>,
    /// After this long `escalate_to` may decide as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalate_after_ms: Option<u64>,
    #[serde(default)]
    pub escalate_to: Vec<String>,
}

fn one() -> u32 {
    1
}

macro_rules! limits {
    ($($(#[$meta:meta])* $field:ident: $type:ty = $env:literal, $default:expr;)+) => {
        /// The limits in force.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
        pub struct Limits {
            $($(#[$meta])* pub $field: $type,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        /// Every limit's name and its environment variable.
        pub const FIELDS: &[(&str, &str)] = &[$((stringify!($field), $env)),+];
    };
}

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

limits! {
    /// `false` closes creation for everybody.
    creation_enabled: bool = "TANDEM_AGENT_AUTOMATION_CREATION_ENABLED", true;
    /// Automations that one agent may create in any 24 hours.
    per_agent_daily_creation_limit: u64 = "TANDEM_AGENT_AUTOMATION_CREATION_DAILY_LIMIT", 10;
    /// Automations created by agents that may exist at once in a tenant.
    active_agent_automation_cap: u64 = "TANDEM_AGENT_AUTOMATION_ACTIVE_CAP", 50;
    /// The deepest lineage.
    lineage_depth_limit: u64 = "TANDEM_AGENT_AUTOMATION_DEPTH_LIMIT", 3;
    /// Creations by an agent between two reviews; 0 asks for none.
    per_agent_creation_review_threshold: u64 = "TANDEM_AGENT_AUTOMATION_CREATION_REVIEW_THRESHOLD", 5;
    /// Ended runs of an automation between two reviews; 0 asks for none.
    run_review_threshold: u64 = "TANDEM_AGENT_AUTOMATION_RUN_REVIEW_THRESHOLD", 20;
    /// Dollars an agent may spend in a day; null is no cap.
    daily_spend_cap_usd: Option<Usd> = "TANDEM_AGENT_AUTOMATION_DAILY_SPEND_CAP_USD", None;
    weekly_spend_cap_usd: Option<Usd> = "TANDEM_AGENT_AUTOMATION_WEEKLY_SPEND_CAP_USD", None;
    monthly_spend_cap_usd: Option<Usd> = "TANDEM_AGENT_AUTOMATION_MONTHLY_SPEND_CAP_USD", None;
    lifetime_spend_cap_usd: Option<Usd> = "TANDEM_AGENT_AUTOMATION_LIFETIME_SPEND_CAP_USD", None;
    /// The part of a cap at which a warning is given, 0 to 1.
    spend_warning_threshold_ratio: f64 = "TANDEM_AGENT_AUTOMATION_SPEND_WARNING_THRESHOLD_RATIO", 0.8;
    /// A run that costs more than this many times the usual gets a finding; 0 asks for none.
    cost_spike_multiplier: f64 = "TANDEM_AGENT_AUTOMATION_COST_SPIKE_MULTIPLIER", 10.0;
    /// What a run without a cost limit of its own sets aside of its agents' caps when it starts.
    run_reservation_usd: Usd = "TANDEM_AGENT_AUTOMATION_RUN_RESERVATION_USD", Usd::of(0.25);
    /// What happens to usage of a model that has no price.
    unpriced_model_policy: Unpriced = "TANDEM_AGENT_AUTOMATION_UNPRICED_MODEL_POLICY", Unpriced::Flag;
    /// What such usage is charged at when it is only flagged. Never free.
    unpriced_cost_per_1k_usd: Usd = "TANDEM_TOKEN_COST_PER_1K_USD", Usd::of(0.06);
    /// Dollars per thousand tokens, by model.
    model_prices: BTreeMap<String, Price> = "TANDEM_MODEL_PRICES", BTreeMap::new();
    /// The life of an agent's automation; 0 is without end.
    default_expires_after_ms: u64 = "TANDEM_AGENT_AUTOMATION_DEFAULT_EXPIRES_AFTER_MS", 90 * DAY;
    /// The longest extension.
    max_expires_after_ms: u64 = "TANDEM_AGENT_AUTOMATION_MAX_EXPIRES_AFTER_MS", 365 * DAY;
    expiration_warning_window_ms: u64 = "TANDEM_AGENT_AUTOMATION_EXPIRATION_WARNING_WINDOW_MS", 7 * DAY;
    health_check_interval_ms: u64 = "TANDEM_AGENT_AUTOMATION_HEALTH_CHECK_INTERVAL_MS", 6 * HOUR;
    /// The newest runs that a health check looks at.
    health_window_run_limit: u64 = "TANDEM_AGENT_AUTOMATION_HEALTH_WINDOW_RUN_LIMIT", 20;
    health_failure_rate_threshold: f64 = "TANDEM_AGENT_AUTOMATION_HEALTH_FAILURE_RATE_THRESHOLD", 0.5;
    /// 0 asks for none.
    health_guardrail_stop_threshold: u64 = "TANDEM_AGENT_AUTOMATION_HEALTH_GUARDRAIL_STOP_THRESHOLD", 2;
    /// How long a request waits when it names no deadline.
    approval_ttl_ms: u64 = "TANDEM_AGENT_AUTOMATION_APPROVAL_TTL_MS", 72 * HOUR;
    /// Whether a single agent may be paused.
    per_agent_pause_enabled: bool = "TANDEM_AGENT_AUTOMATION_PER_AGENT_PAUSE_ENABLED", true;
    /// How long a deleted automation can be restored.
    delete_retention_ms: u64 = "TANDEM_AGENT_AUTOMATION_DELETE_RETENTION_MS", 7 * DAY;
    /// How often expiry, retention and stops that were left over are looked at.
    lifecycle_sweep_interval_ms: u64 = "TANDEM_AGENT_AUTOMATION_LIFECYCLE_SWEEP_INTERVAL_MS", 30_000;
    /// How often deadlines, reminders and escalations of requests are looked at.
    approval_sweep_interval_ms: u64 = "TANDEM_AGENT_AUTOMATION_APPROVAL_SWEEP_INTERVAL_MS", 15_000;
    /// How much executors do without asking where neither the automation nor the wish for a run says so.
    default_execution_profile: ExecutionProfile = "TANDEM_DEFAULT_EXECUTION_PROFILE", ExecutionProfile::Guided;
    /// Days that ended runs are kept; 0 keeps them.
    run_retention_days: u64 = "TANDEM_AUTOMATION_V2_RUNS_RETENTION_DAYS", 7;
    /// Grant, revoke, restore, retire and extend need an approval by a second person.
    dual_control: bool = "TANDEM_AGENT_AUTOMATION_DUAL_CONTROL", false;
    /// Agents without a registered sponsor may not create.
    require_sponsor: bool = "TANDEM_AGENT_AUTOMATION_REQUIRE_SPONSOR", false;
    /// Open reviews of these kinds refuse runs.
    run_blocking_reviews: Vec<ReviewKind> = "TANDEM_AGENT_AUTOMATION_RUN_BLOCKING_REVIEWS", default_blocking();
    /// The first that fits decides, and the strictest where a request names no risk that a rule knows; one reviewer is
    /// enough when none fits.
    review_policies: Vec<ReviewPolicy> = "TANDEM_AGENT_AUTOMATION_REVIEW_POLICIES", Vec::new();
}

/// All but the warning that the end is near.
fn default_blocking() -> Vec<ReviewKind> {
    ReviewKind::ALL.iter().copied().filter(|kind| *kind != ReviewKind::ExpirationSoon).collect()
}

impl Limits {
    /// The rule that a value breaks, if any.
    pub fn defect(&self) -> Option<String> {
        let ratio = |value: f64| (0.0..=1.0).contains(&value);
        let rules = [
            (ratio(self.spend_warning_threshold_ratio), "spend_warning_threshold_ratio must be within 0 and 1"),
            (ratio(self.health_failure_rate_threshold), "health_failure_rate_threshold must be within 0 and 1"),
            (self.cost_spike_multiplier >= 0.0, "cost_spike_multiplier must not be negative"),
            (
                (1000..=7 * DAY).contains(&self.health_check_interval_ms),
                "health_check_interval_ms must be within 1000 and 604800000",
            ),
            // What is left to these two must not be put off for good.
            (
                (1000..=DAY).contains(&self.lifecycle_sweep_interval_ms),
                "lifecycle_sweep_interval_ms must be within 1000 and 86400000",
            ),
            (
                (1000..=DAY).contains(&self.approval_sweep_interval_ms),
                "approval_sweep_interval_ms must be within 1000 and 86400000",
            ),
            (self.approval_ttl_ms >= 1000, "approval_ttl_ms must be at least 1000"),
            ((5..=500).contains(&self.health_window_run_limit), "health_window_run_limit must be within 5 and 500"),
            (self.per_agent_daily_creation_limit <= 100_000, "per_agent_daily_creation_limit must be at most 100000"),
            (!self.unpriced_cost_per_1k_usd.is_zero(), "unpriced_cost_per_1k_usd must be above 0"),
            (self.review_policies.len() <= 64, "review_policies holds more than 64 rules"),
            (
                self.review_policies
                    .iter()
                    .all(|rule| (1..=16).contains(&rule.approve) && (1..=16).contains(&rule.deny)),
                "review_policies: approve and deny must be within 1 and 16",
            ),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map(|(_, rule)| rule.to_owned())
    }

    pub fn blocks_runs(&self, kind: ReviewKind) -> bool {
        self.run_blocking_reviews.contains(&kind)
    }

    /// The rule for a request of this type and risk: the first that fits. Who asks does not choose how many decide by
    /// leaving the risk out, or by a word that no rule has: then it is the first of those that need the most.
    pub fn review_policy(&self, request_type: RequestType, risk: Option<&str>) -> Option<&ReviewPolicy> {
        let of_type =
            || self.review_policies.iter().filter(|rule| rule.request_type.is_none_or(|wanted| wanted == request_type));
        match risk.filter(|risk| of_type().any(|rule| rule.risk.as_deref() == Some(*risk))) {
            Some(risk) => of_type().find(|rule| rule.risk.as_deref().is_none_or(|wanted| wanted == risk)),
            None => of_type().rev().max_by_key(|rule| rule.approve),
        }
    }
}

/// What this server was started with: the environment over the defaults.
#[derive(Clone, Debug)]
pub struct Base {
    pub limits: Limits,
    from_env: Vec<&'static str>,
}

impl Default for Base {
    fn default() -> Self {
        Self::from_env(|_| None).0
    }
}

impl Base {
    /// Reads the environment. A value that cannot be read leaves the default in force and is named in the second result.
    pub fn from_env(var: impl Fn(&str) -> Option<String>) -> (Self, Vec<String>) {
        let mut base = Self { limits: Limits::default(), from_env: Vec::new() };
        let mut ignored = Vec::new();
        for (field, name) in FIELDS {
            let Some(text) = var(name).filter(|text| !text.trim().is_empty()) else { continue };
            let overlaid = [floored(field, spoken(&text)), Value::String(text.trim().to_owned())]
                .into_iter()
                .find_map(|value| overlay(&base.limits, &Map::from_iter([((*field).to_owned(), value)])).ok());
            match overlaid {
                Some(limits) => {
                    base.limits = limits;
                    base.from_env.push(field);
                }
                None => ignored.push((*name).to_owned()),
            }
        }
        (base, ignored)
    }

    pub fn source(&self, field: &str, overrides: &Map<String, Value>) -> Source {
        if overrides.contains_key(field) {
            Source::Api
        } else if self.from_env.contains(&field) {
            Source::Environment
        } else {
            Source::Default
        }
    }

    /// The limits of the desk's tenant.
    pub fn effective(&self, desk: &mut Desk<'_>) -> Decided<Limits> {
        match desk.get::<LimitsRow>(LimitsRow::ID)? {
            Some(row) if !row.overrides.is_empty() => self.with(&row.overrides).map_err(Halt::Corrupt),
            Some(_) | None => Ok(self.limits.clone()),
        }
    }

    pub fn with(&self, overrides: &Map<String, Value>) -> Result<Limits, String> {
        overlay(&self.limits, overrides)
    }
}

/// What the environment sets below the least that is sensible is that least.
const FLOORS: &[(&str, u64)] = &[("health_check_interval_ms", 1_000), ("health_window_run_limit", 5)];

fn floored(field: &str, value: Value) -> Value {
    let floor = FLOORS.iter().find(|(name, _)| *name == field).map(|(_, floor)| *floor);
    match (floor, value.as_u64()) {
        (Some(floor), Some(said)) => said.max(floor).into(),
        (Some(_) | None, Some(_) | None) => value,
    }
}

/// The JSON that an environment variable says, with the usual words for yes and no.
fn spoken(text: &str) -> Value {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Value::Bool(true),
        "false" | "no" | "off" => Value::Bool(false),
        _ => serde_json::from_str(text.trim()).unwrap_or(Value::Null),
    }
}

fn overlay(limits: &Limits, overrides: &Map<String, Value>) -> Result<Limits, String> {
    let Ok(Value::Object(mut all)) = serde_json::to_value(limits) else { return Err("limits are no object".into()) };
    for (field, value) in overrides {
        let Some(slot) = all.get_mut(field) else { return Err(format!("`{field}` is no limit")) };
        *slot = match (&*slot, value) {
            // 1 and 0 are the numbers' yes and no.
            (Value::Bool(_), Value::Number(n)) if n.as_u64() == Some(1) => Value::Bool(true),
            (Value::Bool(_), Value::Number(n)) if n.as_u64() == Some(0) => Value::Bool(false),
            _ => value.clone(),
        };
    }
    let limits: Limits = serde_path_to_error::deserialize(Value::Object(all)).map_err(|error| error.to_string())?;
    limits.defect().map_or(Ok(limits), Err)
}

/// What a tenant's people have set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LimitsRow {
    pub overrides: Map<String, Value>,
    pub updated_at_ms: u64,
}

impl LimitsRow {
    pub const ID: &'static str = "limits";
}

pub static LIMITS: Collection = Collection { name: "governance_limits", columns: &[] };

impl Record for LimitsRow {
    const COLLECTION: &'static Collection = &LIMITS;
    fn id(&self) -> &str {
        Self::ID
    }
    fn columns(&self) -> Vec<Column> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_environment_wins_over_the_default_and_the_api_over_both() {
        let (base, ignored) = Base::from_env(|name| {
            Some(match name {
                "TANDEM_AGENT_AUTOMATION_CREATION_DAILY_LIMIT" => "3".into(),
                "TANDEM_AGENT_AUTOMATION_WEEKLY_SPEND_CAP_USD" => " 12.5 ".into(),
                "TANDEM_AGENT_AUTOMATION_CREATION_ENABLED" => "OFF".into(),
                "TANDEM_AGENT_AUTOMATION_DUAL_CONTROL" => "1".into(),
                "TANDEM_AGENT_AUTOMATION_UNPRICED_MODEL_POLICY" => "refuse".into(),
                "TANDEM_AGENT_AUTOMATION_DEPTH_LIMIT" => "deep".into(),
                "TANDEM_AGENT_AUTOMATION_HEALTH_CHECK_INTERVAL_MS" => "10".into(),
                "TANDEM_AGENT_AUTOMATION_HEALTH_WINDOW_RUN_LIMIT" => "2".into(),
                "TANDEM_DEFAULT_EXECUTION_PROFILE" => "strict".into(),
                "TANDEM_AUTOMATION_V2_RUNS_RETENTION_DAYS" => "30".into(),
                "TANDEM_MODEL_PRICES" => r#"{"m":{"prompt_per_1k_usd":0.5,"completion_per_1k_usd":1}}"#.into(),
                _ => return None,
            })
        });
        assert_eq!(base.limits.per_agent_daily_creation_limit, 3);
        assert_eq!(base.limits.weekly_spend_cap_usd, Some(Usd::of(12.5)));
        assert!(!base.limits.creation_enabled && base.limits.dual_control);
        assert_eq!(base.limits.unpriced_model_policy, Unpriced::Refuse);
        assert_eq!(base.limits.lineage_depth_limit, 3, "what cannot be read leaves the default");
        assert!(base.limits.model_prices.contains_key("m"));
        assert_eq!(
            (base.limits.health_check_interval_ms, base.limits.health_window_run_limit),
            (1000, 5),
            "the floors"
        );
        assert_eq!(base.limits.default_execution_profile, ExecutionProfile::Strict);
        assert_eq!(base.limits.run_retention_days, 30);
        assert_eq!(ignored, ["TANDEM_AGENT_AUTOMATION_DEPTH_LIMIT"]);
        let overrides = Map::from_iter([("per_agent_daily_creation_limit".to_owned(), json!(7))]);
        assert_eq!(base.with(&overrides).unwrap().per_agent_daily_creation_limit, 7);
        assert_eq!(base.source("per_agent_daily_creation_limit", &overrides), Source::Api);
        assert_eq!(base.source("weekly_spend_cap_usd", &overrides), Source::Environment);
        assert_eq!(base.source("approval_ttl_ms", &overrides), Source::Default);
    }

    #[test]
    fn who_asks_does_not_choose_how_many_decide() {
        let rules = json!([
            { "request_type": "external_post", "risk": "low" },
            { "request_type": "external_post", "risk": "high", "approve": 3 },
            { "request_type": "external_post", "approve": 2 },
            { "request_type": "depth_override", "risk": "high", "approve": 2 },
        ]);
        let limits = Base::default().with(&Map::from_iter([("review_policies".to_owned(), rules)])).unwrap();
        let needed = |request_type, risk| limits.review_policy(request_type, risk).map(|rule| rule.approve);
        for (request_type, risk, expected) in [
            (RequestType::ExternalPost, Some("low"), Some(1)),
            (RequestType::ExternalPost, Some("high"), Some(3)),
            (RequestType::ExternalPost, Some("none at all"), Some(3)),
            (RequestType::ExternalPost, None, Some(3)),
            (RequestType::DepthOverride, None, Some(2)),
            (RequestType::QuotaOverride, None, None),
        ] {
            assert_eq!(needed(request_type, risk), expected, "{request_type} {risk:?}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let base = Base::default();
        for (field, value) in [
            ("no_such_limit", json!(1)),
            ("per_agent_daily_creation_limit", json!(-1)),
            ("spend_warning_threshold_ratio", json!(1.5)),
            ("health_check_interval_ms", json!(999)),
            ("health_check_interval_ms", json!(7 * DAY + 1)),
            ("lifecycle_sweep_interval_ms", json!(DAY + 1)),
            ("approval_sweep_interval_ms", json!(DAY + 1)),
            ("unpriced_cost_per_1k_usd", json!(0)),
            ("review_policies", json!([{ "approve": 0 }])),
        ] {
            assert!(base.with(&Map::from_iter([(field.to_owned(), value)])).is_err(), "{field}");
        }
    }
}
