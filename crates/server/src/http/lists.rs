//! What list and delete routes share: filters, cursors, bulk bodies.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use tandem_app::{Bulk, PageRequest};
use tandem_core::record::Column;
use utoipa::{IntoParams, ToSchema};

use super::answer::ApiError;
use crate::extract::{Page, page};

/// Filters of incident, draft, post and delivery lists. One that a list does not know is ignored.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filters {
    /// Rows wanted, 50 by default; values outside 1…200 are brought inside.
    #[allow(dead_code, reason = "read by Page")]
    pub limit: Option<String>,
    /// `next_cursor` of the page before.
    #[allow(dead_code, reason = "read by Page")]
    pub cursor: Option<String>,
    /// Only rows of this status.
    pub status: Option<String>,
    /// Only rows of this project.
    pub project_id: Option<String>,
    /// Only rows of this destination.
    pub destination_id: Option<String>,
    /// Only rows of this draft.
    pub draft_id: Option<String>,
    /// Only rows whose ordering time is at least this.
    #[serde(default, deserialize_with = "whole")]
    pub since_ms: Option<u64>,
}

/// A number, or nothing: blank is as good as absent, as it is for every other filter.
fn whole<'de, D: Deserializer<'de>>(de: D) -> Result<Option<u64>, D::Error> {
    let text = Option::<String>::deserialize(de)?;
    let given = text.as_deref().map(str::trim).filter(|text| !text.is_empty());
    given.map(|text| text.parse().map_err(|_| D::Error::custom("`since_ms` must be a whole number"))).transpose()
}

impl Filters {
    /// The request, with those filters that the list's columns offer.
    pub fn request(&self, page: Page, columns: &[&'static str]) -> PageRequest {
        let given = [
            ("status", &self.status),
            ("state", &self.status),
            ("project_id", &self.project_id),
            ("destination_id", &self.destination_id),
            ("draft_id", &self.draft_id),
        ];
        let equals = given
            .into_iter()
            .filter(|(column, _)| columns.contains(column))
            .filter_map(|(column, value)| {
                let value = value.as_deref().map(str::trim).filter(|value| !value.is_empty())?;
                Some((column, Column::text(value)))
            })
            .collect();
        PageRequest { limit: page.limit(), after: page.after, since_ms: self.since_ms, equals }
    }
}

pub fn cursor(next: Option<(i64, String)>) -> Option<String> {
    next.map(|(order, id)| page::encode(order, &id))
}

/// `all` wins over `ids`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct BulkRequest {
    pub ids: Option<Vec<String>>,
    pub all: Option<bool>,
}

/// Ids in one bulk request.
const MOST_IDS: usize = 10_000;

impl BulkRequest {
    pub fn read(self) -> Result<Bulk, ApiError> {
        let ids = self.ids.unwrap_or_default();
        if ids.len() > MOST_IDS || ids.iter().any(|id| id.contains('\0')) {
            return Err(ApiError::unreadable(422, "`ids` holds too many entries, or one with a NUL character."));
        }
        Ok(Bulk { ids, all: self.all.unwrap_or(false) })
    }
}

#[derive(Serialize, ToSchema)]
pub struct Deleted {
    pub ok: bool,
    pub deleted: u64,
}

impl Deleted {
    pub fn count(deleted: u64) -> Self {
        Self { ok: true, deleted }
    }
}
