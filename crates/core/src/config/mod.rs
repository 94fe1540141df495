//! What an operator configures: the one object behind `/config/incident-monitor`.
//!
//! [`read()`] turns a body into a [`Config`], [`validate()`] tidies and judges it, [`diff()`] says for the audit row what
//! a save changed, [`initial_from_env`] is what an install starts with. Whether a destination can be *used* now is not
//! decided here but by [`destination::readiness`](crate::destination::readiness); files and servers are never looked at.

mod diff;
mod env;
mod etag;
mod model;
mod path;
mod project;
mod read;
mod tidy;
mod validate;

pub use diff::diff;
pub use env::initial_from_env;
pub use etag::{etag, if_match};
pub use model::{
    CONFIGS, Config, LabelMode, ProviderPreference, Reassessment, Recurrence, RecurrencePolicy, SafetyDefaults,
    StoredConfig,
};
pub use project::{DataReadiness, LogFormat, LogLevel, LogSource, Project, StartPosition};
pub use read::{ReadError, read};
pub use validate::{Rule, Violation, validate};

/// Whether a log source's path, relative to the workspace root or absolute, names something below it.
pub fn source_path_allowed(workspace_root: &str, path: &str) -> bool {
    path::absolute(workspace_root) && path::inside(workspace_root, path)
}
