//! Route preview: what publishing would do, without doing it.

use tandem_core::{
    actor::OpContext,
    destination::{self, DestinationReadiness},
    draft::Draft,
    error::Failure,
    incident::Incident,
    route::{self, PreviewInput, RoutePreview},
    source::{self, SourceReadiness},
};

use crate::App;

impl App {
    pub async fn preview(&self, ctx: &OpContext, input: &PreviewInput) -> Result<RoutePreview, Failure> {
        let draft = match tandem_core::text::non_blank(input.draft_id.as_deref()) {
            Some(id) => Some(self.draft(ctx, id).await?.value),
            None => None,
        };
        let incident = match tandem_core::text::non_blank(input.incident_id.as_deref()) {
            Some(id) => Some(self.incident(ctx, id).await?.value),
            None => match &draft {
                Some(draft) => self.incident_of(&ctx.tenant.key(), draft).await?.map(|row| row.value),
                None => None,
            },
        };
        self.preview_of(ctx, input, draft.as_ref(), incident.as_ref()).await
    }

    /// The one routing decision, for preview and publish alike.
    pub(crate) async fn preview_of(
        &self,
        ctx: &OpContext,
        input: &PreviewInput,
        draft: Option<&Draft>,
        incident: Option<&Incident>,
    ) -> Result<RoutePreview, Failure> {
        let snapshot = self.snapshot(&ctx.tenant.key()).await?;
        let config = &snapshot.config;
        let context = route::Context::from_parts(config, input, input.report.as_ref(), draft, incident);
        let rows = route::ReadinessRows {
            destinations: self.destination_readiness(config),
            sources: self.source_readiness(config),
        };
        Ok(route::preview(config, &context, &rows))
    }

    pub(crate) fn destination_readiness(&self, config: &tandem_core::config::Config) -> Vec<DestinationReadiness> {
        let facts = self.destination_facts();
        destination::effective(config).iter().map(|d| destination::readiness(config, d, &facts)).collect()
    }

    pub(crate) fn source_readiness(&self, config: &tandem_core::config::Config) -> Vec<SourceReadiness> {
        source::readiness(config, &[], self.now_ms())
    }
}
