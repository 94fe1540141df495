//! Receipts: list. Deleting one forgets no idempotency: that lives in the deliveries.

use tandem_core::{actor::OpContext, error::Failure, receipt::Post};

use crate::{App, Page, PageRequest};

impl App {
    pub async fn posts(&self, ctx: &OpContext, request: &PageRequest) -> Result<Page<Post>, Failure> {
        self.page(&ctx.tenant.key(), "updated_at_ms", request).await
    }
}
