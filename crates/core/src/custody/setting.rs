//! Where a tenant's log is exported to, and how often.
//!
//! A directory is always one beneath the operator's own; the setting only names it. A store is reached by the rules for
//! webhooks: over TLS, and not on a private network unless the setting says so. Credentials are references to variables,
//! and only to those named for this purpose: the access key is sent, so no other variable may pass for one.

use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;
use utoipa::ToSchema;

use super::name::is_plain_path;
use crate::{
    actor::ActorRef,
    decide::{Ask, Decided, Decision, Desk},
    destination::secret::Reference,
    error::{Code, Failure},
    record::{Collection, Column, Job, JobKind, Record, Waiting, Write},
    text::{non_blank, sha256_hex},
    wire::wire_enum,
};

/// Variables that may hold credentials of a store begin with this.
pub const VARIABLES: &str = "TANDEM_EXPORT_";
const SHORTEST_MS: u64 = 1_000;
const LONGEST_MS: u64 = 31 * 86_400_000;
const USUAL_MS: u64 = 3_600_000;

wire_enum! {
    pub enum ExportKind {
        Directory = "directory",
        S3 = "s3",
    }
}

wire_enum! {
    /// Who may still remove a locked object: nobody, or those whom the store gives a permission of its own for it.
    pub enum LockMode {
        Governance = "governance",
        Compliance = "compliance",
    }
}

/// The longest time for which a store is asked to keep an object: a hundred years.
const LONGEST_LOCK_DAYS: u64 = 36_500;

/// What a store is asked to do with each object, so that nobody removes or replaces it: S3 Object Lock. The bucket must
/// have it switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObjectLock {
    pub mode: LockMode,
    /// From the day on which the object is stored; 1 to 36500.
    pub retention_days: u64,
    /// Keeps it beyond that until somebody lifts the hold in the store.
    #[serde(default)]
    pub legal_hold: bool,
}

/// Where exports go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExportTarget {
    pub kind: ExportKind,
    /// Beneath the server's directory for exports, or before the names in the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `https://s3.eu-central-1.amazonaws.com`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// `env:TANDEM_EXPORT_…`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_ref: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token_ref: Option<String>,
    #[serde(default)]
    pub allow_private_networks: bool,
    /// For a store only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_lock: Option<ObjectLock>,
}

impl ExportTarget {
    /// What tells this place from others: exports to another place begin anew.
    pub fn key(&self) -> String {
        let place = (self.kind, &self.path, &self.endpoint, &self.bucket);
        sha256_hex(&serde_json::to_string(&place).unwrap_or_default())[..16].to_owned()
    }

    /// # Errors
    /// A field that its kind needs is missing or breaks a rule.
    fn checked(mut self) -> Result<Self, Failure> {
        self.path = non_blank(self.path.as_deref()).map(str::to_owned);
        if self.path.as_deref().is_some_and(|path| !is_plain_path(path)) {
            return Err(invalid("destination.path", "it is made of names with `A-Za-z0-9._-`, and stays inside"));
        }
        match (self.kind, self.object_lock) {
            (ExportKind::Directory, Some(_)) => {
                return Err(invalid("destination.object_lock", "a directory locks nothing; name a store"));
            }
            (ExportKind::S3, Some(lock)) if !(1..=LONGEST_LOCK_DAYS).contains(&lock.retention_days) => {
                return Err(invalid("destination.object_lock.retention_days", "it lies between 1 and 36500 days"));
            }
            (ExportKind::Directory | ExportKind::S3, None) | (ExportKind::S3, Some(_)) => {}
        }
        match self.kind {
            ExportKind::Directory => Ok(Self {
                endpoint: None,
                bucket: None,
                region: None,
                access_key_ref: None,
                secret_key_ref: None,
                session_token_ref: None,
                allow_private_networks: false,
                ..self
            }),
            ExportKind::S3 => self.checked_store(),
        }
    }

    fn checked_store(mut self) -> Result<Self, Failure> {
        let url = self.endpoint.as_deref().and_then(|text| Url::parse(text.trim()).ok());
        let url = url.filter(|url| {
            let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
            bare && url.host_str().is_some() && matches!(url.path(), "" | "/") && url.fragment().is_none()
        });
        let Some(url) = url else { return Err(invalid("destination.endpoint", "it is `https://<host>[:<port>]`")) };
        match url.scheme() {
            "https" => {}
            "http" if self.allow_private_networks => {}
            _ => return Err(invalid("destination.endpoint", "without TLS only with `allow_private_networks`")),
        }
        self.endpoint = Some(url.as_str().trim_end_matches('/').to_owned());
        let bucket = |name: &str| {
            (3..=63).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
                && !name.contains("..")
        };
        if !self.bucket.as_deref().is_some_and(bucket) {
            return Err(invalid("destination.bucket", "it is no name of a bucket"));
        }
        let region = non_blank(self.region.as_deref()).unwrap_or("us-east-1").to_owned();
        if region.len() > 60 || !region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(invalid("destination.region", "it is no name of a region"));
        }
        self.region = Some(region);
        for (field, reference, needed) in [
            ("destination.access_key_ref", &mut self.access_key_ref, true),
            ("destination.secret_key_ref", &mut self.secret_key_ref, true),
            ("destination.session_token_ref", &mut self.session_token_ref, false),
        ] {
            *reference = match non_blank(reference.as_deref()) {
                None if needed => return Err(invalid(field, "it is missing")),
                None => None,
                Some(text) => match Reference::parse(text).filter(|found| found.name().starts_with(VARIABLES)) {
                    Some(found) => Some(found.to_string()),
                    None => return Err(invalid(field, "it is `env:TANDEM_EXPORT_…`")),
                },
            };
        }
        Ok(self)
    }
}

/// A tenant's setting as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExportSetting {
    pub enabled: bool,
    pub interval_ms: u64,
    pub destination: ExportTarget,
    pub updated_at_ms: u64,
    pub updated_by: ActorRef,
}

impl ExportSetting {
    pub const ID: &str = "exports";
}

pub static EXPORT_SETTINGS: Collection = Collection { name: "audit_export_settings", columns: &["updated_at_ms"] };

impl Record for ExportSetting {
    const COLLECTION: &'static Collection = &EXPORT_SETTINGS;
    fn id(&self) -> &str {
        Self::ID
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::ms(self.updated_at_ms)]
    }
}

/// What a caller asks for. The whole setting each time.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ExportWish {
    /// True when absent.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// Between two exports; an hour when absent, one second to 31 days.
    #[serde(default, alias = "intervalMs")]
    pub interval_ms: Option<u64>,
    pub destination: ExportTarget,
}

/// PUT /audit/exports/config
#[derive(Clone, Debug)]
pub struct Configure {
    pub wish: ExportWish,
}

impl Decision for Configure {
    type Outcome = ExportSetting;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<ExportSetting>(ExportSetting::ID)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<ExportSetting> {
        let interval_ms = self.wish.interval_ms.unwrap_or(USUAL_MS);
        if !(SHORTEST_MS..=LONGEST_MS).contains(&interval_ms) {
            return Err(invalid("interval_ms", "it lies between one second and 31 days").into());
        }
        let destination = self.wish.destination.clone().checked()?;
        let before = desk.get::<ExportSetting>(ExportSetting::ID)?;
        let setting = ExportSetting {
            enabled: self.wish.enabled.unwrap_or(true),
            interval_ms,
            destination,
            updated_at_ms: desk.now_ms(),
            updated_by: desk.ctx.actor.clone(),
        };
        let (tenant, now) = (desk.ctx.tenant.key(), desk.now_ms());
        let job_id = format!("export-{}", tenant.as_str());
        match &before {
            // The job is made once and never ends; one that rests is woken.
            Some(_) => {
                desk.write(Write::JobsWake { kind: JobKind::Export, of: Waiting::Subject(job_id), due_at_ms: now })
            }
            None => desk.job(Job {
                subject: job_id.clone(),
                job_id,
                kind: JobKind::Export,
                lane: tenant.as_str().to_owned(),
                due_at_ms: now,
            }),
        }
        desk.audit(
            "audit.export.configured",
            json!({
                "enabled": setting.enabled,
                "interval_ms": setting.interval_ms,
                "kind": setting.destination.kind,
                "path": setting.destination.path,
                "endpoint": setting.destination.endpoint,
                "bucket": setting.destination.bucket,
                "allow_private_networks": setting.destination.allow_private_networks,
                "object_lock": setting.destination.object_lock,
                "created": before.is_none(),
            }),
        );
        desk.save(&setting);
        Ok(setting)
    }
}

fn invalid(field: &str, why: &str) -> Failure {
    Failure::of(Code::ExportConfigInvalid).with("field", field).with("detail", format!("`{field}`: {why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn checked(target: Value) -> Result<ExportTarget, String> {
        let target: ExportTarget = serde_json::from_value(target).unwrap();
        target.checked().map_err(|failure| failure.extra["field"].as_str().unwrap().to_owned())
    }

    fn store(over: Value) -> Value {
        let mut target = json!({
            "kind": "s3", "endpoint": "https://s3.example/", "bucket": "evidence",
            "access_key_ref": "env:TANDEM_EXPORT_ID", "secret_key_ref": "${env:TANDEM_EXPORT_SECRET}",
        });
        for (key, value) in over.as_object().unwrap() {
            target[key] = value.clone();
        }
        target
    }

    #[test]
    fn targets() {
        let good = checked(store(json!({}))).unwrap();
        assert_eq!((good.endpoint.as_deref(), good.region.as_deref()), (Some("https://s3.example"), Some("us-east-1")));
        assert_eq!(good.secret_key_ref.as_deref(), Some("env:TANDEM_EXPORT_SECRET"));
        assert_eq!(checked(json!({ "kind": "directory", "path": " " })).unwrap().path, None);
        let cases = [
            (json!({ "endpoint": "http://s3.example" }), "destination.endpoint"),
            (json!({ "endpoint": "https://u:p@s3.example" }), "destination.endpoint"),
            (json!({ "endpoint": "https://s3.example/x" }), "destination.endpoint"),
            (json!({ "endpoint": null }), "destination.endpoint"),
            (json!({ "bucket": "Up" }), "destination.bucket"),
            (json!({ "region": "a b" }), "destination.region"),
            (json!({ "path": "../x" }), "destination.path"),
            (json!({ "access_key_ref": null }), "destination.access_key_ref"),
            // The access key is sent: no other variable may pass for one.
            (json!({ "access_key_ref": "env:TANDEM_API_TOKEN" }), "destination.access_key_ref"),
            (json!({ "secret_key_ref": "plain text" }), "destination.secret_key_ref"),
            (json!({ "session_token_ref": "env:PATH" }), "destination.session_token_ref"),
            (
                json!({ "object_lock": { "mode": "compliance", "retention_days": 0 } }),
                "destination.object_lock.retention_days",
            ),
            (
                json!({ "object_lock": { "mode": "governance", "retention_days": 36_501 } }),
                "destination.object_lock.retention_days",
            ),
            (
                json!({ "kind": "directory", "object_lock": { "mode": "governance", "retention_days": 1 } }),
                "destination.object_lock",
            ),
        ];
        for (over, field) in cases {
            assert_eq!(checked(store(over.clone())), Err(field.to_owned()), "{over}");
        }
        assert!(checked(store(json!({ "object_lock": { "mode": "compliance", "retention_days": 2_555 } }))).is_ok());
        assert!(checked(store(json!({ "endpoint": "http://127.0.0.1:9000", "allow_private_networks": true }))).is_ok());
    }
}
