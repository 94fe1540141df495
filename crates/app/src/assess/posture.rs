//! The posture of the caller's tenant. A read: stored lifecycles are shown, none is changed.

use tandem_core::{actor::OpContext, error::Failure};
use tandem_posture::{
    inventory,
    posture::{Options, PostureChecks, check},
};

use super::viewer;
use crate::App;

impl App {
    pub async fn posture_checks(&self, ctx: &OpContext, options: &Options) -> Result<PostureChecks, Failure> {
        let estate = self.estate(ctx).await?;
        Ok(check(&estate, &inventory::inventory(&estate, &viewer(ctx)), options))
    }
}
