//! Issue trackers: what is sent to them, how an issue of ours is recognised, and what follows from what was found.
//!
//! A tracker's create and comment cannot be repeated safely, so each is announced in its delivery before it is sent
//! ([`Intent`](crate::publish::Intent)), carries a marker that names the delivery's key, and is looked up by that marker
//! when its outcome is not known. Everything here is pure: requests are values, and answers are read from
//! values. Who sends them, with which token and under which limits, is the caller's business.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
