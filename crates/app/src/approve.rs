//! Approve and deny: a person's decision on a draft that waits for one.

use serde_json::json;
use tandem_core::{
    actor::{ActorKind, OpContext},
    draft::{self, Draft, DraftStatus, Event, Refusal},
    error::{Code, Failure},
    incident::Amendment,
    publish::Mode,
    record::{Commit, Put, Write},
    redaction::{Counts, redactor},
    text::truncate,
};

use crate::{App, decide_again, store_failure, wire::Published};

/// What an approval led to. The approval stands whatever became of the publish.
pub struct Approved {
    pub draft: Draft,
    pub published: Result<Published, Failure>,
}

impl App {
    /// Approves and asks for publishing. A failed publish does not undo the approval.
    pub async fn approve(&self, ctx: &OpContext, draft_id: &str, reason: Option<&str>) -> Result<Approved, Failure> {
        self.judge(ctx, draft_id, reason, true).await?;
        let published = self.publish(ctx, draft_id, &[], Mode::Auto).await;
        let draft = self.draft(ctx, draft_id).await?.value;
        Ok(Approved { draft, published })
    }

    pub async fn deny(&self, ctx: &OpContext, draft_id: &str, reason: Option<&str>) -> Result<Draft, Failure> {
        self.judge(ctx, draft_id, reason, false).await
    }

    async fn judge(
        &self,
        ctx: &OpContext,
        draft_id: &str,
        reason: Option<&str>,
        approve: bool,
    ) -> Result<Draft, Failure> {
        if ctx.actor.kind == ActorKind::Agent {
            return Err(Failure::new(Code::HumanRequired, "an agent cannot approve or deny").with("draft_id", draft_id));
        }
        let mut counts = Counts::new();
        let reason = tandem_core::text::non_blank(reason)
            .map(|text| redactor(None).text(&truncate(text, 2_000), &mut counts).into_owned());
        decide_again(async || {
            let found = self.draft(ctx, draft_id).await?;
            let mut draft = found.value;
            let event = if approve {
                Event::Approved { reason: reason.clone() }
            } else {
                Event::Denied { reason: reason.clone() }
            };
            if let Err(refusal) = draft::transition(&mut draft, event, ctx.now_ms) {
                return Err(not_pending(&draft, refusal));
            }
            let payload = json!({
                "draft_id": draft_id,
                "incident_id": draft.incident_id,
                "repo": draft.repo,
                "fingerprint": draft.fingerprint,
                "status": draft.status,
                "reason": reason,
                "evidence_digest": tandem_core::publish::digest::draft_evidence(&draft),
            });
            let kind = if approve { "incident_monitor.draft.approved" } else { "incident_monitor.draft.denied" };
            let mut commit =
                Commit::new(ctx).put(Put::update(&draft, found.version)).audit(self.event_id(), kind, payload);
            if let Some(incident_id) = draft.incident_id.clone() {
                commit = commit.write(Write::Amend { incident_id, amendment: Amendment::Judged { approved: approve } });
            }
            self.store().commit(commit).await.map_err(store_failure)?;
            Ok(draft)
        })
        .await
    }
}

fn not_pending(draft: &Draft, refusal: Refusal) -> Failure {
    let detail = match (refusal, draft.status) {
        (Refusal::Denied, _) | (_, DraftStatus::Denied) => "the draft was denied; a denial is final".to_owned(),
        (Refusal::NotPendingApproval, status) => {
            format!("the draft is `{status}`; only a draft that is `approval_required` can be decided on")
        }
    };
    Failure::of(Code::DraftNotPendingApproval).with("draft_id", draft.draft_id.clone()).with("detail", detail)
}
