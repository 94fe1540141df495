//! What is asked of the posture checks, read from a query.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tandem_core::{
    error::{Code, Failure},
    text::non_blank,
    wire_enum,
};

use super::table::{self, Rule};
use crate::finding::Severity;

wire_enum! {
    /// `enabled` differs from `dry_run` in its label only: nothing is enforced by looking.
    #[derive(Default)]
    #[schema(as = PostureMode)]
    pub enum Mode {
        #[default]
        DryRun = "dry_run",
        Enabled = "enabled",
        Disabled = "disabled",
    }
}

impl Mode {
    /// Any other word is `dry_run`.
    pub fn read(word: Option<&str>) -> Self {
        match word.map(|word| word.trim().to_lowercase()).as_deref() {
            Some("enabled" | "enable" | "enforced") => Self::Enabled,
            Some("disabled" | "disable" | "off") => Self::Disabled,
            Some(_) | None => Self::DryRun,
        }
    }

    pub fn is_dry_run(self) -> bool {
        self != Self::Enabled
    }
}

/// The default is every rule, every severity, as a dry run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    pub mode: Mode,
    /// Empty means all.
    pub rules: Vec<String>,
    pub disabled_rules: Vec<String>,
    /// Findings below it are left out.
    pub min_severity: Severity,
}

impl Default for Options {
    fn default() -> Self {
        Self { mode: Mode::default(), rules: Vec::new(), disabled_rules: Vec::new(), min_severity: Severity::Low }
    }
}

impl Options {
    /// Lists are separated by commas. An unknown severity is refused, because it would silently change what passes.
    pub fn read(
        mode: Option<&str>,
        rules: Option<&str>,
        disabled_rules: Option<&str>,
        min_severity: Option<&str>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            mode: Mode::read(mode),
            rules: list(rules),
            disabled_rules: list(disabled_rules),
            min_severity: severity(min_severity)?.unwrap_or(Severity::Low),
        })
    }

    /// The ids that are no rules, as they were sent.
    pub fn ignored(&self) -> Vec<String> {
        let all = self.rules.iter().chain(&self.disabled_rules);
        let unknown: BTreeSet<&String> = all.filter(|id| table::find(id).is_none()).collect();
        unknown.into_iter().cloned().collect()
    }

    /// A selection of nothing but unknown ids selects nothing; it is not taken for everything.
    pub fn is_enabled(&self, rule: &Rule) -> bool {
        let named = |ids: &[String]| ids.iter().any(|id| id == rule.id);
        self.mode != Mode::Disabled && (self.rules.is_empty() || named(&self.rules)) && !named(&self.disabled_rules)
    }
}

/// A severity as callers write it; blank is none.
pub fn severity(word: Option<&str>) -> Result<Option<Severity>, Failure> {
    let Some(word) = non_blank(word) else { return Ok(None) };
    match Severity::from_word(&word.to_lowercase()) {
        Some(severity) => Ok(Some(severity)),
        None => {
            let why = "`min_severity` must be one of low, medium, high, critical.";
            Err(Failure::new(Code::ValidationFailed, why).status(400))
        }
    }
}

fn list(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default().split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_mode() {
        for (word, mode) in [
            (None, Mode::DryRun),
            (Some("nonsense"), Mode::DryRun),
            (Some("Enforced"), Mode::Enabled),
            (Some(" enable "), Mode::Enabled),
            (Some("off"), Mode::Disabled),
            (Some("disable"), Mode::Disabled),
        ] {
            assert_eq!(Mode::read(word), mode, "{word:?}");
        }
        assert!(Mode::Disabled.is_dry_run() && Mode::DryRun.is_dry_run() && !Mode::Enabled.is_dry_run());
    }

    #[test]
    fn selections() {
        let read = |rules, disabled| Options::read(None, rules, disabled, None).unwrap_or_default();
        let enabled = |options: &Options| table::RULES.iter().filter(|rule| options.is_enabled(rule)).count();
        assert_eq!(enabled(&read(None, None)), table::RULES.len());
        assert_eq!(enabled(&read(Some(" ,"), None)), table::RULES.len());
        assert_eq!(enabled(&read(None, Some("missing_tenant_context"))), table::RULES.len() - 1);
        let one = read(Some("missing_tenant_context, bogus"), Some("other,bogus"));
        assert_eq!((enabled(&one), one.ignored()), (1, vec!["bogus".to_owned(), "other".to_owned()]));
        assert_eq!(enabled(&read(Some("bogus"), None)), 0);
        let off = Options { mode: Mode::Disabled, ..Options::default() };
        assert_eq!(enabled(&off), 0);
    }

    #[test]
    fn an_unknown_severity_is_refused() {
        for (word, expected) in [(None, Severity::Low), (Some(" HIGH "), Severity::High), (Some(""), Severity::Low)] {
            assert_eq!(Options::read(None, None, None, word).map(|o| o.min_severity).ok(), Some(expected));
        }
        let refused = Options::read(None, None, None, Some("severe")).err().map(|f| (f.code, f.http_status()));
        assert_eq!(refused, Some((Code::ValidationFailed, 400)));
    }
}
