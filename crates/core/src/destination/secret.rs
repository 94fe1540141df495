//! References to secrets: their syntax, and which of them sign during a rotation. Never a value.

use serde_json::Value;

use super::Destination;

/// A reference to a secret in the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    name: String,
}

impl Reference {
    /// Reads `env:NAME`, `env://NAME`, `${env:NAME}` or a bare `NAME`; a name is made of `A-Z`, `0-9` and `_`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let name = if let Some(inner) = text.strip_prefix("${env:") {
            inner.strip_suffix('}')?
        } else if let Some(rest) = text.strip_prefix("env:") {
            rest.strip_prefix("//").unwrap_or(rest)
        } else {
            text
        };
        let plain = !name.is_empty()
            && name.len() <= 200
            && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        plain.then(|| Self { name: name.to_owned() })
    }

    /// The variable's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "env:{}", self.name)
    }
}

/// A secret that signs, until it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotating {
    pub reference: Reference,
    pub expires_at_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretRefError {
    Missing,
    /// The reference at this position cannot be read; 0 is the current one.
    Malformed(usize),
}

/// The references that sign at `now_ms`, the current one first: `webhook_secret_ref`, then `config.webhook_secret_refs`.
pub fn signing(destination: &Destination, now_ms: u64) -> Result<Vec<Rotating>, SecretRefError> {
    let mut found: Vec<Rotating> = Vec::new();
    let mut add = |reference: Reference, expires_at_ms: Option<u64>| {
        let expired = expires_at_ms.is_some_and(|at| at <= now_ms);
        if !expired && !found.iter().any(|known| known.reference == reference) {
            found.push(Rotating { reference, expires_at_ms });
        }
    };
    let mut position = 0;
    if let Some(current) = crate::text::non_blank(destination.webhook_secret_ref.as_deref()) {
        add(Reference::parse(current).ok_or(SecretRefError::Malformed(0))?, None);
        position = 1;
    }
    match destination.setting(&["webhook_secret_refs"]) {
        None => {}
        Some(Value::Array(items)) => {
            for item in items {
                let malformed = SecretRefError::Malformed(position);
                let (text, expires) = match item {
                    Value::String(text) => (text.as_str(), None),
                    Value::Object(map) => {
                        let text = map.get("ref").and_then(Value::as_str).ok_or(malformed)?;
                        let expires = match map.get("expires_at_ms") {
                            None | Some(Value::Null) => None,
                            // An expiry that cannot be read must not become "never".
                            Some(value) => Some(value.as_u64().ok_or(malformed)?),
                        };
                        (text, expires)
                    }
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => return Err(malformed),
                };
                add(Reference::parse(text).ok_or(malformed)?, expires);
                position += 1;
            }
        }
        Some(_) => return Err(SecretRefError::Malformed(position)),
    }
    if found.is_empty() { Err(SecretRefError::Missing) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn syntax() {
        for (text, name) in [
            ("env:HOOK_1", Some("HOOK_1")),
            ("env://HOOK", Some("HOOK")),
            ("${env:HOOK}", Some("HOOK")),
            (" HOOK ", Some("HOOK")),
            ("hook", None),
            ("env:", None),
            ("env:HOOK-1", None),
            ("${env:HOOK", None),
            ("env:///etc/passwd", None),
            ("s3cr3t", None),
            ("", None),
        ] {
            assert_eq!(Reference::parse(text).as_ref().map(Reference::name), name, "{text:?}");
        }
    }

    fn destination(current: Option<&str>, refs: Value) -> Destination {
        let config = json!({ "webhook_secret_refs": refs });
        Destination {
            webhook_secret_ref: current.map(str::to_owned),
            config: config.as_object().cloned(),
            ..Destination::default()
        }
    }

    #[test]
    fn the_current_secret_comes_first_and_expired_ones_do_not_sign() {
        let refs = json!(["env:B", {"ref": "C", "expires_at_ms": 100}, {"ref": "D", "expires_at_ms": 101}, "A"]);
        let names = |now| {
            signing(&destination(Some("env:A"), refs.clone()), now)
                .map(|list| list.iter().map(|r| r.reference.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(names(99), Ok(vec!["env:A".into(), "env:B".into(), "env:C".into(), "env:D".into()]));
        assert_eq!(names(100), Ok(vec!["env:A".into(), "env:B".into(), "env:D".into()]));
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for (current, refs, error) in [
            (None, json!(null), SecretRefError::Missing),
            (Some(" "), json!([]), SecretRefError::Missing),
            (None, json!([{"ref": "A", "expires_at_ms": 1}]), SecretRefError::Missing),
            (Some("oops"), json!([]), SecretRefError::Malformed(0)),
            (Some("A"), json!("B"), SecretRefError::Malformed(1)),
            (Some("A"), json!(["B", "c"]), SecretRefError::Malformed(2)),
            (Some("A"), json!([{"ref": "B", "expires_at_ms": "soon"}]), SecretRefError::Malformed(1)),
        ] {
            assert_eq!(signing(&destination(current, refs), 50).err(), Some(error));
        }
        assert_eq!(signing(&destination(None, json!(["B"])), 0).map(|list| list.len()), Ok(1));
    }
}
