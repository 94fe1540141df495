//! Route preview: what publishing would do, without doing it.

use tandem_core::{
    actor::OpContext,
    config::Config,
    destination::{self, Circuit, Destination, DestinationReadiness, Facts},
    draft::Draft,
    error::Failure,
    incident::Incident,
    publish::breaker::State,
    route::{self, PreviewInput, RoutePreview},
    tenant::TenantKey,
    tracker::tools::Capability,
};

use crate::{App, mcp::View, publish::lane};

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
        let context = route::Context::from_parts(input, input.report.as_ref(), draft, incident);
        let (destinations, sources) = (
            self.destination_readiness(&ctx.tenant.key(), config).await?,
            self.source_readiness(&ctx.tenant.key(), config).await?,
        );
        let rows = route::ReadinessRows { destinations: &destinations, sources: &sources };
        Ok(route::preview(config, &context, &rows))
    }

    /// Readiness of every effective destination, from settings, secrets and circuits as they are now.
    pub(crate) async fn destination_readiness(
        &self,
        tenant: &TenantKey,
        config: &Config,
    ) -> Result<Vec<DestinationReadiness>, Failure> {
        let view = self.mcp_facts(tenant, config).await?;
        Ok(self.destination_readiness_with(tenant, config, &view))
    }

    /// The same, with what is known of the MCP servers already read.
    pub(crate) fn destination_readiness_with(
        &self,
        tenant: &TenantKey,
        config: &Config,
        view: &View,
    ) -> Vec<DestinationReadiness> {
        let server = |name: &str| view.server(name);
        let tool = |server: &str, tool: &str| view.tool(server, tool);
        let capable =
            |server: &str, capability: Capability| capability.find(view.callable(server).into_iter()).is_some();
        let available = |reference: &str| self.ports.secrets.resolve(reference).is_ok();
        let now_ms = self.now_ms();
        let judge = |destination: &Destination| {
            let lane = lane(tenant, &destination.destination_id);
            let (circuit, until) = match self.breaker_state(&lane) {
                State::Closed { .. } => (Circuit::Closed, None),
                State::Open { until_ms, .. } => (Circuit::Open, Some(until_ms)),
                State::HalfOpen { .. } => (Circuit::HalfOpen, None),
            };
            let facts = Facts {
                circuit,
                circuit_open_until_ms: until,
                server: &server,
                tool: &tool,
                capable: &capable,
                ..Facts::new(now_ms, &available)
            };
            destination::readiness(config, destination, &facts)
        };
        destination::effective(config).iter().map(judge).collect()
    }
}
