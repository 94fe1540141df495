//! Where rules leave what they found. A rule that nobody asked for, and a severity that is filtered out, cost nothing.

use std::collections::HashSet;

use tandem_core::tenant::TenantContext;

use super::{options::Options, table};
use crate::{
    estate::Estate,
    finding::{AffectedObject, EvidenceRef, Finding, New, Severity},
};

/// Names that a text lists at most.
const NAMED: usize = 10;

pub(super) struct Findings {
    enabled: HashSet<&'static str>,
    floor: u8,
    dry_run: bool,
    /// Parts of fingerprints, because a second copy of each would cost as much as the finding.
    seen: HashSet<u128>,
    found: Vec<Finding>,
}

impl Findings {
    pub fn new(options: &Options) -> Self {
        Self {
            enabled: table::RULES.iter().filter(|rule| options.is_enabled(rule)).map(|rule| rule.id).collect(),
            floor: options.min_severity.rank(),
            dry_run: options.mode.is_dry_run(),
            seen: HashSet::new(),
            found: Vec::new(),
        }
    }

    pub fn wants(&self, rule_id: &str) -> bool {
        self.enabled.contains(rule_id)
    }

    /// Adds what `make` says, unless nobody wants it or it is there already.
    pub fn add<'a>(&mut self, rule_id: &str, severity: Severity, make: impl FnOnce() -> New<'a>) {
        if self.passes(rule_id, severity) {
            self.keep(Finding::new(make(), self.dry_run));
        }
    }

    /// Adds a finding that stays the same one while what it names comes and goes.
    pub fn add_as<'a>(&mut self, rule_id: &str, severity: Severity, identity: &str, make: impl FnOnce() -> New<'a>) {
        if self.passes(rule_id, severity) {
            self.keep(Finding::new(make(), self.dry_run).identified(identity));
        }
    }

    fn passes(&self, rule_id: &str, severity: Severity) -> bool {
        self.wants(rule_id) && severity.rank() >= self.floor
    }

    fn keep(&mut self, finding: Finding) {
        // 128 bits of the hash behind `sha256:`.
        let short = finding.fingerprint.get(7..39).and_then(|hex| u128::from_str_radix(hex, 16).ok());
        if self.seen.insert(short.unwrap_or_default()) {
            self.found.push(finding);
        }
    }

    pub fn into_vec(self) -> Vec<Finding> {
        self.found
    }
}

/// An id, or the word for one that is not there.
pub(super) fn id_or<'a>(id: &'a str, unknown: &'a str) -> &'a str {
    if id.trim().is_empty() { unknown } else { id }
}

pub(super) fn path(path: String) -> EvidenceRef {
    EvidenceRef::inventory(path)
}

/// Rows of another tenant, which only the implicit one sees, are told apart by their tenant.
pub(super) fn foreign(estate: &Estate, owner: &TenantContext) -> Option<String> {
    let key = owner.key();
    (key != estate.tenant.key()).then_some(key.0)
}

/// The first few names, and how many more there are.
pub(super) fn listed<S: AsRef<str>>(names: &[S]) -> String {
    let mut text = names.iter().take(NAMED).map(|name| name.as_ref()).collect::<Vec<_>>().join(", ");
    if names.len() > NAMED {
        text += &format!(" and {} more", names.len() - NAMED);
    }
    text
}

/// The Incident Monitor itself.
pub(super) fn monitor() -> AffectedObject {
    AffectedObject::new("incident_monitor", "incident_monitor")
}
