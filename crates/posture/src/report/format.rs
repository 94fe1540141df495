//! The forms in which a report is given.

use tandem_core::wire_enum;

use super::{Report, html, markdown, ocsf, oscal, sarif};

wire_enum! {
    #[derive(Default)]
    pub enum Format {
        #[default]
        Json = "json",
        Markdown = "markdown",
        Html = "html",
        Sarif = "sarif",
        Ocsf = "ocsf",
        Oscal = "oscal",
    }
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::Ocsf | Self::Oscal => "application/json",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Sarif => "application/sarif+json",
        }
    }

    /// What a saved copy is called.
    pub fn file(self) -> &'static str {
        match self {
            Self::Json => "assessment-report.json",
            Self::Markdown => "assessment-report.md",
            Self::Html => "assessment-report.html",
            Self::Sarif => "assessment-report.sarif",
            Self::Ocsf => "assessment-report.ocsf.json",
            Self::Oscal => "assessment-report.oscal.json",
        }
    }

    pub fn render(self, report: &Report) -> String {
        match self {
            Self::Json => serde_json::to_string(report).unwrap_or_default(),
            Self::Markdown => markdown::full(report),
            Self::Html => html::page(report),
            Self::Sarif => sarif::log(report).to_string(),
            Self::Ocsf => ocsf::events(report).to_string(),
            Self::Oscal => oscal::results(report).to_string(),
        }
    }
}
