//! stub
pub mod event {
    use crate::{actor::*, tenant::*};
    #[derive(Clone, Debug)]
    pub struct Draft {
        pub event_id: String,
        pub event_type: String,
        pub created_at_ms: u64,
        pub tenant: TenantContext,
        pub actor: ActorRef,
        pub request_id: String,
        pub payload: serde_json::Value,
    }
    impl Draft {
        pub fn new(ctx: &OpContext, event_id: String, event_type: &str, payload: serde_json::Value) -> Self {
            Self {
                event_id,
                event_type: event_type.into(),
                created_at_ms: ctx.now_ms,
                tenant: ctx.tenant.clone(),
                actor: ctx.actor.clone(),
                request_id: ctx.request_id.clone(),
                payload,
            }
        }
    }
    pub struct Sealed {
        pub canonical: String,
        pub leaf: [u8; 32],
    }
    pub fn seal(_d: &Draft, _seq: u64) -> Sealed {
        Sealed { canonical: String::new(), leaf: [0; 32] }
    }
}
pub mod merkle {
    pub type Hash = [u8; 32];
}
