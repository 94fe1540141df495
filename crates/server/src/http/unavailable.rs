//! Calls that the published clients can make and this server does not offer: they are answered with that, and only that.
//!
//! Webhook triggers, handoffs and the work on single tasks belong to an engine that runs the agents itself. Here
//! executors do, and they have calls of their own.

use tandem_core::error::{Code, Failure};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Answer, ApiError},
    document::ErrorBody,
    state::AppState,
};
use crate::extract::Operator;

macro_rules! refused {
    ($($name:ident $method:ident $path:tt ($($param:tt),*);)+) => {
        $(
            /// Not offered
            #[utoipa::path(
                $method, path = $path, tag = "not offered",
                params($(($param = String, Path, description = "Not read.")),*),
                responses((status = 501, body = ErrorBody, description = "`FEATURE_UNAVAILABLE`"))
            )]
            pub async fn $name(_: Operator) -> Answer {
                Err(ApiError(Failure::of(Code::FeatureUnavailable)))
            }
        )+

        pub fn router() -> OpenApiRouter<AppState> {
            OpenApiRouter::new()$(.routes(routes!($name)))+
        }
    };
}

refused! {
    webhook_list get "/automations/v2/{id}/webhook-triggers" ("id");
    webhook_create post "/automations/v2/{id}/webhook-triggers" ("id");
    webhook_get get "/automations/v2/{id}/webhook-triggers/{trigger_id}" ("id", "trigger_id");
    webhook_patch patch "/automations/v2/{id}/webhook-triggers/{trigger_id}" ("id", "trigger_id");
    webhook_delete delete "/automations/v2/{id}/webhook-triggers/{trigger_id}" ("id", "trigger_id");
    webhook_disable post "/automations/v2/{id}/webhook-triggers/{trigger_id}/disable" ("id", "trigger_id");
    webhook_rotate post "/automations/v2/{id}/webhook-triggers/{trigger_id}/rotate-secret" ("id", "trigger_id");
    webhook_deliveries get "/automations/v2/{id}/webhook-triggers/{trigger_id}/deliveries" ("id", "trigger_id");
    webhook_delivery get "/automations/v2/{id}/webhook-triggers/{trigger_id}/deliveries/{delivery_id}" ("id", "trigger_id", "delivery_id");
    handoffs get "/automations/v2/{id}/handoffs" ("id");
    repair post "/automations/v2/runs/{run_id}/repair" ("run_id");
    task_retry post "/automations/v2/runs/{run_id}/tasks/{node_id}/retry" ("run_id", "node_id");
    task_reset_preview get "/automations/v2/runs/{run_id}/tasks/{node_id}/reset_preview" ("run_id", "node_id");
    task_continue post "/automations/v2/runs/{run_id}/tasks/{node_id}/continue" ("run_id", "node_id");
    task_requeue post "/automations/v2/runs/{run_id}/tasks/{node_id}/requeue" ("run_id", "node_id");
    task_disposition patch "/automations/v2/runs/{run_id}/tasks/{node_id}/disposition" ("run_id", "node_id");
    backlog_claim post "/automations/v2/runs/{run_id}/backlog/tasks/{task_id}/claim" ("run_id", "task_id");
    backlog_requeue post "/automations/v2/runs/{run_id}/backlog/tasks/{task_id}/requeue" ("run_id", "task_id");
    graduation get "/automations/v2/graduation/summary" ();
}
