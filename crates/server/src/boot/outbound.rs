//! Connects the use cases to the drivers that leave the process.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tandem_app::{
    audit::{ExportCall, ExportTrouble},
    reconcile::{ApiCall, Outbound, WebhookCall},
};
use tandem_core::{
    destination::address,
    ports::{BoxFuture, Clock},
    publish::settle::Outcome,
    tracker::answer::{Answer, Trouble},
};
use tandem_outbound::{
    api::{self, Api},
    egress::{Egress, SystemLookup},
    keep::{Keeper, Object},
    mcp::{Commands, Connections},
    secrets::EnvSecrets,
    telemetry::Telemetry,
    webhook::{self, Webhook},
};

pub struct Drivers {
    webhook: Webhook,
    api: Api,
    telemetry: Arc<Telemetry>,
    keeper: Keeper,
    egress: Arc<Egress>,
    clock: Arc<dyn Clock>,
}

/// The one way out of this process, with the rules of `core`.
pub fn egress() -> Arc<Egress> {
    let rules = |ip, private| address::refused(ip, private).map_or(Ok(()), |reason| Err(reason.word()));
    Arc::new(Egress::new(Arc::new(rules), Arc::new(SystemLookup)))
}

/// MCP connections, the file of the commands that they may start, and the file of their grants.
pub fn mcp(egress: Arc<Egress>, commands: PathBuf, grants: PathBuf, clock: Arc<dyn Clock>) -> Connections {
    let commands = Commands::new(commands, Arc::new(EnvSecrets));
    Connections::new(egress, commands, grants, clock, env!("CARGO_PKG_VERSION"))
}

impl Drivers {
    /// `exports` is the directory that exports may be written beneath.
    pub fn new(egress: Arc<Egress>, state_dir: &Path, exports: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self {
            webhook: Webhook::new(Arc::clone(&egress), env!("CARGO_PKG_VERSION")),
            keeper: Keeper::new(exports, Arc::clone(&egress)),
            api: Api::new(Arc::clone(&egress), env!("CARGO_PKG_VERSION")),
            egress,
            telemetry: Arc::new(Telemetry::new(state_dir.join("incident-monitor"))),
            clock,
        }
    }
}

impl Outbound for Drivers {
    fn webhook(&self, call: WebhookCall) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let target = webhook::Target {
                url: call.target.url.clone(),
                allow_private_networks: call.settings.allow_private_networks,
                timeout_ms: call.settings.timeout_ms,
                payload_byte_limit: call.settings.payload_byte_limit,
                response_byte_limit: call.settings.response_byte_limit,
            };
            let delivery = webhook::Delivery {
                target: &target,
                event: call.event,
                delivery_id: &call.delivery_id,
                idempotency_key: &call.idempotency_key,
                body: call.body.into(),
                secrets: &call.secrets,
                redaction_profile: call.redaction_profile.as_deref(),
                at_ms: self.clock.now_ms(),
            };
            let told = self.webhook.send(&delivery).await;
            Outcome {
                accepted: told.succeeded(),
                status_code: told.status_code,
                retryable: told.retryable,
                error_code: told.error_code.map(|code| code.word().to_owned()),
                error: told.error,
                response_excerpt: told.response_excerpt,
                response_truncated: told.response_truncated,
                retry_after_ms: told.retry_after_ms,
                duration_ms: Some(told.duration_ms),
                gone: told.disabled,
                ..Outcome::default()
            }
        })
    }

    fn exchange(&self, call: ApiCall) -> BoxFuture<'_, Result<Answer, Trouble>> {
        Box::pin(async move {
            let call = api::Call {
                kind: call.kind,
                base: &call.api.base,
                allow_private_networks: call.api.allow_private_networks,
                timeout_ms: call.timeout_ms,
                token: &call.token,
                request: &call.request,
            };
            self.api.exchange(&call).await
        })
    }

    fn witness(&self, url: String, body: String) -> BoxFuture<'_, Result<(u16, String), String>> {
        Box::pin(async move { tandem_outbound::witness::ask(&self.egress, &url, body).await })
    }

    fn keep(&self, call: ExportCall) -> BoxFuture<'_, Result<String, ExportTrouble>> {
        Box::pin(async move {
            let object = Object {
                target: &call.target,
                name: &call.name,
                body: call.body,
                digest: &call.digest,
                access_key: call.access_key.as_ref(),
                secret_key: call.secret_key.as_ref(),
                session_token: call.session_token.as_ref(),
                lock: call.lock,
                at_ms: call.at_ms,
            };
            self.keeper.keep(object).await.map_err(|trouble| ExportTrouble::new(trouble.code, trouble.text))
        })
    }

    fn telemetry(&self, path: String, line: String) -> BoxFuture<'_, Result<(), String>> {
        let sink = Arc::clone(&self.telemetry);
        Box::pin(async move {
            let written = tokio::task::spawn_blocking(move || sink.append(&path, &line)).await;
            match written {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("the write ended abnormally".into()),
            }
        })
    }
}
