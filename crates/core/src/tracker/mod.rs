//! Issue trackers: what is sent to them, how an issue of ours is recognised, and what follows from what was found.
//!
//! A tracker's create and comment cannot be repeated safely, so each is announced in its delivery before it is sent
//! ([`Intent`](crate::publish::Intent)), carries a marker that names the delivery's key, and is looked up by that marker
//! when its outcome is not known ([`doubt`]). Everything here is pure: requests are values, and answers are read from
//! values. Who sends them, with which token and under which limits, is the caller's business.

pub mod answer;
pub mod binding;
pub mod body;
pub mod budget;
pub mod decide;
pub mod doubt;
pub mod github;
pub mod linear;
pub mod paging;
pub mod row;
pub mod settings;
pub mod time;
pub mod tools;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

pub use row::{TRACKED_ISSUES, TRACKER_CURSORS, TrackedIssue, TrackerCursor};
pub use settings::{Settings, Transport};

use crate::wire::wire_enum;

/// The one label that issues of ours carry.
pub const LABEL: &str = "incident-monitor";

/// An issue in somebody's tracker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IssueRef {
    /// What the tracker's API calls it: GitHub's number as text, Linear's id.
    pub id: String,
    /// GitHub's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// What people call it: Linear's `ENG-12`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

wire_enum! {
    /// Whether somebody still has to do something about an issue.
    pub enum IssueState {
        Open = "open",
        Closed = "closed",
    }
}

/// An issue as its tracker tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    pub reference: IssueRef,
    pub state: IssueState,
    pub title: String,
    /// GitHub's body, Linear's description.
    pub body: String,
    pub created_at_ms: Option<u64>,
    pub updated_at_ms: Option<u64>,
    pub closed_at_ms: Option<u64>,
}

impl Issue {
    /// Whether the body holds this hidden comment, whole.
    pub fn carries(&self, marker: &str) -> bool {
        self.body.contains(marker)
    }

    /// How a receipt calls it.
    pub fn title_of(kind: &str, reference: &IssueRef) -> String {
        match (reference.number, &reference.identifier) {
            (Some(number), _) => format!("{kind} issue #{number}"),
            (None, Some(identifier)) => format!("{kind} issue {identifier}"),
            (None, None) => format!("{kind} issue"),
        }
    }
}

/// A comment as its tracker tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comment {
    pub id: String,
    pub url: Option<String>,
    pub body: String,
}

wire_enum! {
    pub enum Method {
        Get = "GET",
        Post = "POST",
        Patch = "PATCH",
    }
}

wire_enum! {
    /// What a request costs, as trackers count.
    pub enum Class {
        Read = "read",
        Search = "search",
        /// Makes or changes something.
        Write = "write",
    }
}

/// A request to a tracker's API, relative to its base.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub method: Method,
    pub class: Class,
    /// With its query; empty for the base itself.
    pub path: String,
    pub body: Option<Value>,
    /// The validator of an answer that we already have.
    pub etag: Option<String>,
}

impl Request {
    pub fn get(class: Class, path: impl Into<String>) -> Self {
        Self { method: Method::Get, class, path: path.into(), body: None, etag: None }
    }

    pub fn write(method: Method, path: impl Into<String>, body: Value) -> Self {
        Self { method, class: Class::Write, path: path.into(), body: Some(body), etag: None }
    }
}

/// A v4-shaped UUID made of a delivery's key: the same key always asks for the same object, so a tracker that takes
/// ids from its clients cannot be made to create two. `what` tells the objects of one delivery apart.
pub fn client_id(key: &str, what: &str) -> String {
    let hex = crate::publish::digest::h(["tandem_client_id_v1", what, key]);
    let variant = match hex.as_bytes()[16] {
        b'0' | b'4' | b'8' | b'c' => '8',
        b'1' | b'5' | b'9' | b'd' => '9',
        b'2' | b'6' | b'a' | b'e' => 'a',
        _ => 'b',
    };
    format!("{}-{}-4{}-{variant}{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_ids_are_uuids_and_follow_from_the_key() {
        let id = client_id("key", "issue");
        assert_eq!(id, client_id("key", "issue"));
        assert_ne!(id, client_id("key", "comment"));
        assert_ne!(id, client_id("other", "issue"));
        for n in 0..64 {
            let id = client_id(&n.to_string(), "issue");
            let parts: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
            assert_eq!(id.as_bytes()[14], b'4', "{id}");
            assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{id}");
        }
    }
}
