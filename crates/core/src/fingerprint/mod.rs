//! stub
use serde::{Deserialize, Serialize};
pub struct Signal<'a> {
    pub repo: &'a str,
    pub title: Option<&'a str>,
    pub detail: Option<&'a str>,
    pub excerpt: &'a [String],
    pub event: Option<&'a str>,
    pub component: Option<&'a str>,
    pub source: Option<&'a str>,
    pub file_name: Option<&'a str>,
    pub process: Option<&'a str>,
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Grouping {
    pub fingerprint: String,
}
pub fn group(_s: &Signal<'_>) -> Grouping {
    Grouping { fingerprint: String::new() }
}
pub fn caller(f: &str) -> Grouping {
    Grouping { fingerprint: f.into() }
}
