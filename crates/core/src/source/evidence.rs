//! What a log said when a draft was opened: the lines, redacted, and where they stand. One row for each draft, so that
//! the evidence outlives the file; further occurrences are references only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::log::Place;
use crate::record::{Collection, Column, Record};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogEvidence {
    pub evidence_id: String,
    /// Always 1.
    pub schema_version: u32,
    pub project_id: String,
    pub source_id: String,
    pub repo: String,
    pub workspace_root: String,
    pub log_path: String,
    pub offset_start: u64,
    pub offset_end: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
    #[serde(default)]
    pub generation: u64,
    pub detected_at_ms: u64,
    /// The record's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_at_ms: Option<u64>,
    pub parser_format: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    pub event: String,
    pub fingerprint: String,
    pub title: String,
    pub excerpt: Vec<String>,
    pub raw_excerpt_redacted: Vec<String>,
    /// Lines before the failure.
    pub context: Vec<String>,
    /// How many values each redaction rule replaced.
    pub redactions: BTreeMap<String, u32>,
    /// A line was longer than a reader keeps.
    #[serde(default)]
    pub truncated: bool,
}

pub static LOG_EVIDENCE: Collection = Collection { name: "log_evidence", columns: &["project_id", "updated_at_ms"] };

impl Record for LogEvidence {
    const COLLECTION: &'static Collection = &LOG_EVIDENCE;
    fn id(&self) -> &str {
        &self.evidence_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::text(&self.project_id), Column::ms(self.detected_at_ms)]
    }
}

/// The name of a failure's evidence: no two places of one source share it, also after rotation.
pub fn evidence_id(project_id: &str, source_id: &str, fingerprint: &str, place: &Place) -> String {
    let (start, generation) = (place.offset_start.to_string(), place.generation.to_string());
    let inode = place.inode.map(|inode| inode.to_string()).unwrap_or_default();
    let hash =
        crate::publish::digest::h([project_id, source_id, fingerprint, &start, &place.path, &inode, &generation]);
    format!("{}-{start}", &hash[..16])
}

/// How incidents and drafts refer to the lines.
pub fn lines_ref(project_id: &str, source_id: &str, place: &Place) -> String {
    let Place { offset_start, offset_end, .. } = place;
    format!("tandem://incident-monitor/{project_id}/logs/{source_id}#offset={offset_start}-{offset_end}")
}

/// How they refer to the kept evidence.
pub fn evidence_ref(project_id: &str, source_id: &str, evidence_id: &str) -> String {
    format!("tandem://incident-monitor/{project_id}/evidence/{source_id}/{evidence_id}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_places_share_a_name() {
        let place = |path: &str, start, generation, inode| Place {
            path: path.into(),
            offset_start: start,
            offset_end: start + 10,
            generation,
            inode,
        };
        let places = [
            place("a", 0, 0, Some(1)),
            place("a", 5, 0, Some(1)),
            place("a", 0, 1, Some(1)),
            place("a", 0, 0, Some(2)),
        ];
        let names: std::collections::BTreeSet<_> = places.iter().map(|p| evidence_id("p", "s", "f", p)).collect();
        assert_eq!(names.len(), places.len());
        let name = evidence_id("p", "s", "f", &places[1]);
        assert!(name.ends_with("-5") && name.len() == 18, "{name}");
        assert_eq!(lines_ref("p", "s", &places[1]), "tandem://incident-monitor/p/logs/s#offset=5-15");
        assert_eq!(evidence_ref("p", "s", "x-5"), "tandem://incident-monitor/p/evidence/s/x-5.json");
    }
}
