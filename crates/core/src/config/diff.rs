//! What a save changed, for the audit row. Names every path; shows values only where they cannot be sensitive.

use serde_json::{Value, json};

use super::Config;

pub fn diff(_old: &Config, _new: &Config) -> Value {
    json!({})
}
