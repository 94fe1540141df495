//! How long the bodies of a tenant's audit rows and evidence artifacts are kept, and what is kept longer.
//!
//! Dropping takes the body of a row and nothing else: its place, its leaf hash, its time and its type stay, so every proof,
//! every checkpoint and every export goes on as before. What was dropped is told by a row of the log, and a body that is
//! gone without one is a break. Rows about retention, holds and breaks keep theirs: they are what accounts for the others.
//! Of an artifact its digest, its size and what was signed about it stay, and a row of the log tells of it as well.
//!
//! Deliberately absent: reading rows, exports (nothing is dropped that a scheduled export has still to take), and removing
//! rows. A log from which rows are gone proves nothing.

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    actor::ActorRef,
    decide::{Ask, Decided, Decision, Desk, PageAsk},
    error::{Code, Failure},
    record::{Collection, Column, Job, JobKind, Put, Record, Waiting, Write},
    redaction::{Counts, redactor},
    text::non_blank,
};

/// The type of the row that tells of dropped bodies. Its payload has `ranges`: first and last row of each run.
pub const DROPPED: &str = "audit.retention.dropped";
/// The type of the row that tells of dropped artifacts. Its payload has `artifacts`: id, digest and size of each.
pub const ARTIFACTS_DROPPED: &str = "audit.retention.artifacts_dropped";
/// Rows of these families account for others, and keep their bodies.
const ACCOUNTS: [&str; 3] = ["audit.retention.", "audit.hold.", "audit.integrity."];
const DAY_MS: u64 = 86_400_000;
const LONGEST_DAYS: u64 = 36_500;
/// Holds of one tenant.
pub const MOST_HOLDS: usize = 100;
const LONGEST_REASON: usize = 2_000;
/// When a sweep looks again that has nothing to do now.
pub const LOOK_MS: u64 = 3_600_000;

/// A tenant's setting, and how far the sweep has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditRetention {
    /// Bodies of rows older than this many days are dropped. Null keeps them all.
    pub body_days: Option<u64>,
    /// Bodies of evidence artifacts older than this many days are dropped. Null keeps them all.
    #[serde(default)]
    pub artifact_days: Option<u64>,
    /// Every row up to this one has been looked at.
    pub swept_to_seq: u64,
    /// Bodies that were dropped so far.
    pub bodies_dropped: u64,
    /// Every artifact up to this one has been looked at.
    #[serde(default)]
    pub artifacts_swept_to: Option<ArtifactPlace>,
    /// Bodies of artifacts that were dropped so far.
    #[serde(default)]
    pub artifacts_dropped: u64,
    /// A body of either kind.
    pub last_dropped_at_ms: Option<u64>,
    pub updated_at_ms: u64,
    pub updated_by: ActorRef,
}

impl AuditRetention {
    pub const ID: &str = "retention";

    /// Bodies of rows before this are dropped.
    pub fn cutoff_ms(&self, now_ms: u64) -> Option<u64> {
        before(self.body_days, now_ms)
    }

    /// Bodies of artifacts before this are dropped.
    pub fn artifact_cutoff_ms(&self, now_ms: u64) -> Option<u64> {
        before(self.artifact_days, now_ms)
    }
}

fn before(days: Option<u64>, now_ms: u64) -> Option<u64> {
    days.map(|days| now_ms.saturating_sub(days.saturating_mul(DAY_MS)))
}

/// Where an artifact stands among the others, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct ArtifactPlace {
    pub created_at_ms: u64,
    pub artifact_id: String,
}

pub static AUDIT_RETENTION: Collection = Collection { name: "audit_retention", columns: &["updated_at_ms"] };

impl Record for AuditRetention {
    const COLLECTION: &'static Collection = &AUDIT_RETENTION;
    fn id(&self) -> &str {
        Self::ID
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::ms(self.updated_at_ms)]
    }
}

/// Bodies that are kept whatever the setting says, until somebody releases them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LegalHold {
    pub hold_id: String,
    pub reason: String,
    /// Rows and artifacts from this time on; from the first one when null.
    pub since_ms: Option<u64>,
    /// Rows and artifacts up to this time; all later ones too when null.
    pub until_ms: Option<u64>,
    pub created_at_ms: u64,
    pub created_by: ActorRef,
}

impl LegalHold {
    fn keeps(&self, at_ms: u64) -> bool {
        self.since_ms.is_none_or(|since| at_ms >= since) && self.until_ms.is_none_or(|until| at_ms <= until)
    }
}

pub static AUDIT_HOLDS: Collection = Collection { name: "audit_holds", columns: &["created_at_ms"] };

impl Record for LegalHold {
    const COLLECTION: &'static Collection = &AUDIT_HOLDS;
    fn id(&self) -> &str {
        &self.hold_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::ms(self.created_at_ms)]
    }
}

/// PUT /audit/retention
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct RetentionWish {
    /// 1 to 36500; null or absent keeps every body of a row.
    #[serde(default, alias = "bodyDays")]
    pub body_days: Option<u64>,
    /// 1 to 36500; null or absent keeps every body of an evidence artifact.
    #[serde(default, alias = "artifactDays")]
    pub artifact_days: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct Configure {
    pub wish: RetentionWish,
}

impl Decision for Configure {
    type Outcome = AuditRetention;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<AuditRetention>(AuditRetention::ID)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<AuditRetention> {
        let RetentionWish { body_days, artifact_days } = self.wish;
        for (field, days) in [("body_days", body_days), ("artifact_days", artifact_days)] {
            if days.is_some_and(|days| !(1..=LONGEST_DAYS).contains(&days)) {
                return Err(invalid(field, "it lies between 1 and 36500 days").into());
            }
        }
        let before = desk.get::<AuditRetention>(AuditRetention::ID)?;
        let setting = AuditRetention {
            body_days,
            artifact_days,
            updated_at_ms: desk.now_ms(),
            updated_by: desk.ctx.actor.clone(),
            swept_to_seq: before.as_ref().map_or(0, |before| before.swept_to_seq),
            bodies_dropped: before.as_ref().map_or(0, |before| before.bodies_dropped),
            artifacts_swept_to: before.as_ref().and_then(|before| before.artifacts_swept_to.clone()),
            artifacts_dropped: before.as_ref().map_or(0, |before| before.artifacts_dropped),
            last_dropped_at_ms: before.as_ref().and_then(|before| before.last_dropped_at_ms),
        };
        let (job_id, now) = (job_id(desk), desk.now_ms());
        match &before {
            // The job is made once and never ends; one that rests is woken.
            Some(_) => wake(desk),
            None => {
                let lane = desk.ctx.tenant.key().as_str().to_owned();
                desk.job(Job { subject: job_id.clone(), job_id, kind: JobKind::Retention, lane, due_at_ms: now });
            }
        }
        desk.audit(
            "audit.retention.configured",
            json!({
                "body_days": body_days, "previous_body_days": before.as_ref().and_then(|before| before.body_days),
                "artifact_days": artifact_days,
                "previous_artifact_days": before.as_ref().and_then(|before| before.artifact_days),
            }),
        );
        desk.save(&setting);
        Ok(setting)
    }
}

fn job_id(desk: &Desk<'_>) -> String {
    format!("retention-{}", desk.ctx.tenant.key().as_str())
}

fn wake(desk: &mut Desk<'_>) {
    let (subject, due_at_ms) = (job_id(desk), desk.now_ms());
    desk.write(Write::JobsWake { kind: JobKind::Retention, of: Waiting::Subject(subject), due_at_ms });
}

/// POST /audit/holds
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct HoldWish {
    /// Why; 1 to 2000 bytes. Secrets in it are redacted.
    pub reason: String,
    /// Rows and artifacts from this time on; from the first one when absent.
    #[serde(default, alias = "sinceMs")]
    pub since_ms: Option<u64>,
    /// Rows and artifacts up to this time; all later ones too when absent.
    #[serde(default, alias = "untilMs")]
    pub until_ms: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct Hold {
    pub wish: HoldWish,
}

impl Decision for Hold {
    type Outcome = LegalHold;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::Page(holds())]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<LegalHold> {
        let reason = non_blank(Some(&self.wish.reason)).filter(|reason| reason.len() <= LONGEST_REASON);
        let Some(reason) = reason else { return Err(invalid("reason", "it has 1 to 2000 bytes").into()) };
        if self.wish.since_ms.zip(self.wish.until_ms).is_some_and(|(since, until)| since > until) {
            return Err(invalid("since_ms", "it lies after `until_ms`").into());
        }
        if desk.page::<LegalHold>(holds())?.len() >= MOST_HOLDS {
            return Err(Failure::of(Code::LegalHoldLimit).with("limit", MOST_HOLDS as u64).into());
        }
        let hold = LegalHold {
            hold_id: desk.id("hold-"),
            reason: redactor(None).text(reason, &mut Counts::new()).into_owned(),
            since_ms: self.wish.since_ms,
            until_ms: self.wish.until_ms,
            created_at_ms: desk.now_ms(),
            created_by: desk.ctx.actor.clone(),
        };
        desk.audit("audit.hold.placed", told(&hold));
        desk.save(&hold);
        Ok(hold)
    }
}

/// DELETE /audit/holds/{id}. What it kept is looked at again from the beginning.
#[derive(Clone, Debug)]
pub struct Release {
    pub hold_id: String,
}

impl Decision for Release {
    type Outcome = LegalHold;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<LegalHold>(&self.hold_id), Ask::row::<AuditRetention>(AuditRetention::ID)]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<LegalHold> {
        let Some(hold) = desk.get::<LegalHold>(&self.hold_id)? else {
            return Err(Failure::of(Code::LegalHoldNotFound).with("hold_id", self.hold_id.as_str()).into());
        };
        if let Some(mut setting) = desk.get::<AuditRetention>(AuditRetention::ID)? {
            setting.swept_to_seq = 0;
            setting.artifacts_swept_to = None;
            desk.save(&setting);
            wake(desk);
        }
        desk.remove::<LegalHold>(&hold.hold_id);
        desk.audit("audit.hold.released", told(&hold));
        Ok(hold)
    }
}

fn holds() -> PageAsk {
    PageAsk::of::<LegalHold>("created_at_ms", MOST_HOLDS)
}

fn told(hold: &LegalHold) -> serde_json::Value {
    json!({ "hold_id": hold.hold_id, "reason": hold.reason, "since_ms": hold.since_ms, "until_ms": hold.until_ms })
}

/// A row whose body may be dropped: older than the setting says, signed, and not waiting for an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Old {
    pub seq: u64,
    pub event_type: String,
    pub created_at_ms: u64,
    /// Its body is gone already.
    pub dropped: bool,
}

/// An artifact whose body may be dropped: older than the setting says.
#[derive(Clone, Debug)]
pub struct OldArtifact {
    pub place: ArtifactPlace,
    pub content_sha256: String,
    pub content_bytes: u64,
    /// What takes the place of its row; nothing where its body is gone already.
    pub emptied: Option<Put>,
}

/// One step of the sweep. What was read before the lock is judged by setting and holds under it.
#[derive(Clone, Debug)]
pub struct DropOld {
    /// By sequence.
    pub old: Vec<Old>,
    /// The oldest first.
    pub artifacts: Vec<OldArtifact>,
    pub job_id: String,
    pub lease: String,
    /// There may be more rows at once …
    pub more_rows: bool,
    /// … and more artifacts.
    pub more_artifacts: bool,
}

impl DropOld {
    /// Drops the bodies of rows. Says how many, and whether all that were read were old enough.
    fn rows(&self, setting: &mut AuditRetention, held: &[LegalHold], desk: &mut Desk<'_>) -> (u64, bool) {
        let cutoff = setting.cutoff_ms(desk.now_ms()).unwrap_or_default();
        let newer = self.old.iter().position(|row| row.created_at_ms >= cutoff);
        let old = &self.old[..newer.unwrap_or(self.old.len())];
        let kept = |at_ms: u64| held.iter().any(|hold| hold.keeps(at_ms));
        let accounts = |kind: &str| ACCOUNTS.iter().any(|family| kind.starts_with(family));
        let gone = old.iter().filter(|row| !row.dropped && !kept(row.created_at_ms) && !accounts(&row.event_type));
        let ranges = ranges(gone.map(|row| row.seq));
        let count: u64 = ranges.iter().map(|(first, last)| last - first + 1).sum();
        for (first_seq, last_seq) in &ranges {
            desk.write(Write::DropBodies { first_seq: *first_seq, last_seq: *last_seq });
        }
        if count > 0 {
            let on_hold = old.iter().filter(|row| !row.dropped && kept(row.created_at_ms)).count();
            desk.audit(
                DROPPED,
                json!({
                    "ranges": ranges, "bodies": count, "on_hold": on_hold, "before_ms": cutoff,
                    "body_days": setting.body_days,
                }),
            );
            setting.bodies_dropped += count;
        }
        setting.swept_to_seq = setting.swept_to_seq.max(old.last().map_or(0, |last| last.seq));
        (count, old.len() == self.old.len())
    }

    /// The same for artifacts.
    fn artifacts(&self, setting: &mut AuditRetention, held: &[LegalHold], desk: &mut Desk<'_>) -> (u64, bool) {
        let cutoff = setting.artifact_cutoff_ms(desk.now_ms()).unwrap_or_default();
        let newer = self.artifacts.iter().position(|artifact| artifact.place.created_at_ms >= cutoff);
        let old = &self.artifacts[..newer.unwrap_or(self.artifacts.len())];
        let kept = |artifact: &OldArtifact| held.iter().any(|hold| hold.keeps(artifact.place.created_at_ms));
        let mut told = Vec::new();
        for artifact in old.iter().filter(|artifact| !kept(artifact)) {
            let Some(emptied) = &artifact.emptied else { continue };
            desk.put(emptied.clone());
            told.push(json!({
                "artifact_id": artifact.place.artifact_id,
                "content_sha256": artifact.content_sha256,
                "content_bytes": artifact.content_bytes,
            }));
        }
        let count = told.len() as u64;
        if count > 0 {
            let on_hold = old.iter().filter(|artifact| artifact.emptied.is_some() && kept(artifact)).count();
            desk.audit(
                ARTIFACTS_DROPPED,
                json!({
                    "artifacts": told, "on_hold": on_hold, "before_ms": cutoff,
                    "artifact_days": setting.artifact_days,
                }),
            );
            setting.artifacts_dropped += count;
        }
        let last = old.last().map(|artifact| artifact.place.clone());
        setting.artifacts_swept_to = setting.artifacts_swept_to.take().max(last);
        (count, old.len() == self.artifacts.len())
    }
}

impl Decision for DropOld {
    /// How many bodies were dropped.
    type Outcome = u64;

    fn asks(&self) -> Vec<Ask> {
        vec![Ask::row::<AuditRetention>(AuditRetention::ID), Ask::Page(holds())]
    }

    fn decide(&self, desk: &mut Desk<'_>) -> Decided<u64> {
        let now = desk.now_ms();
        let (job_id, lease) = (self.job_id.clone(), self.lease.clone());
        let Some(mut setting) = desk.get::<AuditRetention>(AuditRetention::ID)? else {
            desk.write(Write::JobDone { job_id, lease });
            return Ok(0);
        };
        let held = desk.page::<LegalHold>(holds())?;
        let before = setting.clone();
        let (rows, all_rows) = self.rows(&mut setting, &held, desk);
        let (artifacts, all_artifacts) = self.artifacts(&mut setting, &held, desk);
        let count = rows + artifacts;
        if count > 0 {
            setting.last_dropped_at_ms = Some(now);
        }
        if setting != before {
            desk.save(&setting);
        }
        let more = (self.more_rows && all_rows) || (self.more_artifacts && all_artifacts);
        let due_at_ms = if more { now } else { now.saturating_add(LOOK_MS) };
        desk.write(Write::JobRetry { job_id, lease, due_at_ms });
        Ok(count)
    }
}

/// Neighbours together.
fn ranges(rows: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut found: Vec<(u64, u64)> = Vec::new();
    for seq in rows {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == seq => *last = seq,
            Some(_) | None => found.push((seq, seq)),
        }
    }
    found
}

fn invalid(field: &str, why: &str) -> Failure {
    Failure::new(Code::ValidationFailed, format!("`{field}`: {why}.")).status(400).with("field", field)
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
