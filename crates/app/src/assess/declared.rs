//! Declarations of other systems: said, repeated, removed, read. What changes one is a reason to assess again, in the same
//! commit.

use tandem_core::{
    actor::OpContext,
    error::{Code, Failure},
    record::Column,
};
use tandem_posture::declared::{
    Declared, DeclaredKind,
    declare::{Declaration, Declare, Seen, Withdraw},
    read::{DeclaredBody, read},
};

use crate::{App, Page, PageRequest};

impl App {
    pub async fn declare(
        &self,
        ctx: &OpContext,
        kind: DeclaredKind,
        id: &str,
        body: DeclaredBody,
    ) -> Result<Declaration, Failure> {
        let declare = Declare { said: read(kind, id, body)? };
        let told = format!("a declared {} was created or changed", kind.word());
        self.decide(ctx, self.with_mark(ctx, declare, &told, |done| done.changed).await?).await
    }

    pub async fn declared_seen(&self, ctx: &OpContext, kind: DeclaredKind, id: &str) -> Result<Declared, Failure> {
        self.decide(ctx, Seen { kind, object_id: id.to_owned() }).await
    }

    pub async fn declared_withdraw(&self, ctx: &OpContext, kind: DeclaredKind, id: &str) -> Result<Declared, Failure> {
        let withdraw = Withdraw { kind, object_id: id.to_owned() };
        let told = format!("a declared {} was removed", kind.word());
        self.decide(ctx, self.with_mark(ctx, withdraw, &told, |_| true).await?).await
    }

    pub async fn declared(&self, ctx: &OpContext, kind: DeclaredKind, id: &str) -> Result<Declared, Failure> {
        let found = self.load::<Declared>(&ctx.tenant.key(), &Declared::key(kind, id)).await?;
        found.map(|row| row.value).ok_or_else(|| Failure::of(Code::DeclarationNotFound).with("id", id))
    }

    /// Those seen last come first; with `stale`, those that went or go stale last.
    pub async fn declared_page(
        &self,
        ctx: &OpContext,
        kind: DeclaredKind,
        stale: Option<bool>,
        mut request: PageRequest,
    ) -> Result<Page<Declared>, Failure> {
        request.equals = vec![("kind", Column::text(kind.word()))];
        let order = match stale {
            None => "last_seen_at_ms",
            Some(false) => {
                request.since_ms = Some(ctx.now_ms);
                "stale_at_ms"
            }
            Some(true) => {
                // No id is less than the empty one: this is everything before now.
                let now = i64::try_from(ctx.now_ms).unwrap_or(i64::MAX);
                request.after.get_or_insert((now, String::new()));
                "stale_at_ms"
            }
        };
        self.page(&ctx.tenant.key(), order, &request).await
    }
}
