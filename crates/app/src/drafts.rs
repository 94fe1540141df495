//! Drafts: list and read.

use tandem_core::{
    actor::OpContext,
    draft::Draft,
    error::{Code, Failure},
    incident::Incident,
    record::Versioned,
    tenant::TenantKey,
};

use crate::{App, Page, PageRequest};

impl App {
    pub async fn drafts(&self, ctx: &OpContext, request: &PageRequest) -> Result<Page<Draft>, Failure> {
        self.page(&ctx.tenant.key(), "created_at_ms", request).await
    }

    pub async fn draft(&self, ctx: &OpContext, id: &str) -> Result<Versioned<Draft>, Failure> {
        match self.load::<Draft>(&ctx.tenant.key(), id).await? {
            Some(found) => Ok(found),
            None => Err(Failure::of(Code::DraftNotFound).with("draft_id", id)),
        }
    }

    /// The incident of a draft, unless it was deleted.
    pub(crate) async fn incident_of(
        &self,
        tenant: &TenantKey,
        draft: &Draft,
    ) -> Result<Option<Versioned<Incident>>, Failure> {
        match &draft.incident_id {
            Some(id) => self.load(tenant, id).await,
            None => Ok(None),
        }
    }
}
