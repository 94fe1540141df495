//! What handlers take as parameters. A permission is a type ([`Operator`], [`Decider`], [`IntakeAuth`], [`Anyone`]), so a
//! handler that forgot its check would not compile; bodies, queries and paths refuse in the one error envelope.

pub mod auth;
pub mod body;
pub mod caller;
pub mod carriers;
pub mod lineage;
pub mod page;
pub mod path;
pub mod query;
mod shape;

#[allow(unused_imports, reason = "the names that resource files import")]
pub use self::{
    body::{Body, OptionalBody},
    caller::{Anyone, Author, Decider, IntakeAuth, Operator},
    lineage::{IdempotencyKey, Lineage},
    page::{Page, PageParams},
    path::Path,
    query::Query,
};
