//! Incidents: list and read.

use tandem_core::{
    actor::OpContext,
    error::{Code, Failure},
    incident::Incident,
    record::Versioned,
};

use crate::{App, Page, PageRequest};

impl App {
    pub async fn incidents(&self, ctx: &OpContext, request: &PageRequest) -> Result<Page<Incident>, Failure> {
        self.page(&ctx.tenant.key(), "updated_at_ms", request).await
    }

    pub async fn incident(&self, ctx: &OpContext, id: &str) -> Result<Versioned<Incident>, Failure> {
        match self.load::<Incident>(&ctx.tenant.key(), id).await? {
            Some(found) => Ok(found),
            None => Err(Failure::of(Code::IncidentNotFound).with("incident_id", id)),
        }
    }
}
