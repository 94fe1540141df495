//! Recheck: what a draft was published as. Needs neither approval nor readiness, and never posts.

use serde_json::json;
use tandem_core::{
    actor::OpContext,
    destination::DestinationKind,
    draft::{self, Event},
    error::{Code, Failure},
    publish::{Action, Delivery, DeliveryState},
    receipt::Post,
    record::{Column, Commit, Put},
    route::PreviewInput,
};

use crate::{
    App, decide_again,
    publish::publish_failure,
    reconcile::tracker::{Stop, recheck_action},
    store_failure,
    wire::{DeliveryResult, Published},
};

impl App {
    pub async fn recheck(&self, ctx: &OpContext, draft_id: &str) -> Result<Published, Failure> {
        let tenant = ctx.tenant.key();
        let draft = self.draft(ctx, draft_id).await?.value;
        let incident = self.incident_of(&tenant, &draft).await?.map(|row| row.value);
        let evidence = self.evidence_of(&tenant, &draft).await?;
        let preview = self.preview_of(ctx, &PreviewInput::default(), Some(&draft), incident.as_ref()).await?;
        let Some(destination) = preview.destinations.first() else {
            let detail = preview.blocked_reasons.join("; ");
            return Err(publish_failure(Code::RecheckFailed, &draft, &evidence, &detail));
        };
        let by_draft = vec![("draft_id", Column::text(draft_id))];
        let deliveries = self.every::<Delivery>(&tenant, "updated_at_ms", by_draft).await?;
        let posted = deliveries
            .into_iter()
            .find(|d| d.destination_id == destination.destination_id && d.state == DeliveryState::Posted);
        let mut found = None;
        let action = match destination.kind {
            DestinationKind::GithubIssue | DestinationKind::LinearIssue => {
                let config = self.snapshot(&tenant).await?;
                let known = posted.as_ref().and_then(|delivery| delivery.issue.as_ref());
                let asked = self.tracker_recheck(&tenant, &config.config, destination, &draft, known).await;
                found = asked.map_err(|stop| {
                    let detail = match stop {
                        Stop::Hold { until_ms } => format!("the tracker's rate limit is spent until {until_ms}"),
                        Stop::Trouble(trouble) => format!("{}: {}", trouble.code, trouble.text),
                    };
                    publish_failure(Code::RecheckFailed, &draft, &evidence, &detail)
                })?;
                recheck_action(destination.kind, found.as_ref())
            }
            DestinationKind::Telemetry | DestinationKind::InternalMemory if posted.is_some() => {
                Action::LocalRecordFound
            }
            DestinationKind::McpTool if posted.is_some() => Action::McpToolRecordFound,
            // A webhook receiver cannot be asked.
            DestinationKind::Webhook
            | DestinationKind::Telemetry
            | DestinationKind::InternalMemory
            | DestinationKind::McpTool => Action::NoMatch,
        };
        let result = match posted.filter(|_| action != Action::NoMatch) {
            Some(delivery) => vec![DeliveryResult {
                destination_id: delivery.destination_id.clone(),
                destination_kind: delivery.destination_kind,
                action,
                status: delivery.state,
                post: self.load::<Post>(&tenant, &delivery.post_id).await?.map(|row| row.value),
                delivery_id: Some(delivery.delivery_id),
                error_code: None,
                detail: None,
                retry_at_ms: None,
            }],
            None => Vec::new(),
        };
        let payload = json!({
            "draft_id": draft_id,
            "mode": tandem_core::publish::Mode::Recheck,
            "selected_destination_id": destination.destination_id,
            "selected_destination_kind": destination.kind,
            "action": action,
        });
        let draft = decide_again(async || {
            let read = self.draft(ctx, draft_id).await?;
            let mut draft = read.value;
            let mut commit =
                Commit::new(ctx).audit(self.event_id(), "incident_monitor.publish.rechecked", payload.clone());
            if let Some(issue) = &found {
                let event = Event::Matched { number: issue.reference.number, state: issue.state.word() };
                if draft::transition(&mut draft, event, ctx.now_ms).is_ok() {
                    commit = commit.put(Put::update(&draft, read.version));
                }
            }
            self.store().commit(commit).await.map_err(store_failure)?;
            Ok(draft)
        })
        .await?;
        let mut published = Published::new(draft, action, evidence, result, None);
        if let Some(issue) = found {
            published.issue_number = issue.reference.number.or(published.issue_number);
            published.issue_url = issue.reference.url.or(published.issue_url);
        }
        Ok(published)
    }
}
