//! Whether a value fits a JSON Schema of another server.
//!
//! The schema is foreign text: it may be wrong, refer elsewhere, or hold expensive patterns. References to other
//! documents are never fetched, and a schema that cannot be used is an error, not a pass.

use serde_json::Value;
use tandem_core::text::truncate;

const SHOWN: usize = 5;

/// `Err` names places and rules, never a value.
pub(super) fn fits(schema: &Value, value: &Value) -> Result<(), String> {
    let validator = jsonschema::options().build(schema).map_err(|_| "the tool's schema cannot be used".to_owned())?;
    let mut problems: Vec<String> = validator
        .iter_errors(value)
        .take(SHOWN)
        .map(|error| {
            let at = error.instance_path().to_string();
            let at = if at.is_empty() { "/".to_owned() } else { truncate(&at, 120) };
            format!("{at} breaks {}", truncate(&error.schema_path().to_string(), 120))
        })
        .collect();
    problems.dedup();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn problems_name_places_and_never_values() {
        let schema = json!({
            "type": "object",
            "properties": {"title": {"type": "string", "maxLength": 5}, "n": {"type": "integer"}},
            "required": ["title"],
            "additionalProperties": false,
        });
        assert_eq!(fits(&schema, &json!({"title": "ok", "n": 1})), Ok(()));
        for wrong in [
            json!({"n": 1}),
            json!({"title": "s3cr3t-value"}),
            json!({"title": "ok", "n": "s3cr3t"}),
            json!({"title": "ok", "s3cr3t": 1}),
            json!([]),
        ] {
            let why = fits(&schema, &wrong).err().unwrap_or_default();
            assert!(!why.is_empty() && !why.contains("s3cr3t"), "{wrong}: {why}");
        }
    }

    #[test]
    fn a_schema_that_cannot_be_used_lets_nothing_pass() {
        for schema in [
            json!({"type": 5}),
            json!({"$ref": "https://example.com/schema.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"$ref": "#/nowhere"}),
            json!({"properties": {"a": {"pattern": "("}}}),
        ] {
            assert!(fits(&schema, &json!({"a": "x"})).is_err(), "{schema}");
        }
        assert_eq!(fits(&json!({}), &json!({"a": 1})), Ok(()));
        let own = json!({"$defs": {"s": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/s"}}});
        assert_eq!(fits(&own, &json!({"a": "x"})), Ok(()));
        assert!(fits(&own, &json!({"a": 1})).is_err());
    }
}
