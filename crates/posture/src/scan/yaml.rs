//! YAML as a JSON value: the first document of a text. Numbers stay text, because nothing here counts with them.
//!
//! An alias is a copy, and copies of copies grow fast; so the number of values, copied ones included, is bounded, and so is
//! the depth.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

const MOST_VALUES: usize = 50_000;
const DEEPEST: usize = 64;

/// # Errors
/// Where it is broken, without what stands there.
pub fn read(text: &str) -> Result<Value, String> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| format!("it is not valid YAML (line {})", error.marker().line()))?;
        if builder.take(event)? {
            break;
        }
    }
    Ok(builder.done.unwrap_or(Value::Null))
}

enum Open {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>),
}

#[derive(Default)]
struct Builder {
    open: Vec<(Open, usize)>,
    anchors: Vec<(usize, Value)>,
    values: usize,
    done: Option<Value>,
}

impl Builder {
    /// Whether the document has ended.
    fn take(&mut self, event: Event<'_>) -> Result<bool, String> {
        match event {
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => {}
            Event::StreamEnd | Event::DocumentEnd => return Ok(true),
            Event::Alias(anchor) => {
                let found = self.anchors.iter().rev().find(|(id, _)| *id == anchor);
                let value = found.map(|(_, value)| value.clone()).unwrap_or_default();
                self.count(size(&value))?;
                self.place(value, 0);
            }
            Event::Scalar(text, style, anchor, _) => {
                self.count(1)?;
                self.place(scalar(&text, style), anchor);
            }
            Event::SequenceStart(anchor, _) => self.begin(Open::List(Vec::new()), anchor)?,
            Event::MappingStart(anchor, _) => self.begin(Open::Map(Map::new(), None), anchor)?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some((open, anchor)) = self.open.pop() {
                    let value = match open {
                        Open::List(items) => Value::Array(items),
                        Open::Map(map, _) => Value::Object(map),
                    };
                    self.place(value, anchor);
                }
            }
        }
        Ok(false)
    }

    fn begin(&mut self, open: Open, anchor: usize) -> Result<(), String> {
        self.count(1)?;
        if self.open.len() >= DEEPEST {
            return Err("it is nested too deep".into());
        }
        self.open.push((open, anchor));
        Ok(())
    }

    fn count(&mut self, more: usize) -> Result<(), String> {
        self.values = self.values.saturating_add(more);
        if self.values > MOST_VALUES { Err("it holds too many values".into()) } else { Ok(()) }
    }

    fn place(&mut self, value: Value, anchor: usize) {
        if anchor > 0 {
            self.anchors.push((anchor, value.clone()));
        }
        match self.open.last_mut().map(|(open, _)| open) {
            None => self.done = Some(value),
            Some(Open::List(items)) => items.push(value),
            Some(Open::Map(map, key)) => match key.take() {
                // A key that is no text names nothing here.
                None => *key = Some(value.as_str().map_or_else(String::new, str::to_owned)),
                Some(merge) if merge == "<<" => {
                    if let Value::Object(from) = value {
                        from.into_iter().for_each(|(key, value)| {
                            map.entry(key).or_insert(value);
                        });
                    }
                }
                Some(name) => {
                    map.insert(name, value);
                }
            },
        }
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    match (style, text) {
        (ScalarStyle::Plain, "" | "~" | "null" | "Null" | "NULL") => Value::Null,
        (ScalarStyle::Plain, "true" | "True" | "TRUE") => Value::Bool(true),
        (ScalarStyle::Plain, "false" | "False" | "FALSE") => Value::Bool(false),
        (_, text) => Value::String(text.to_owned()),
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(size).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_manifests_use() {
        let text = "# crew\nplanner: &base\n  role: >\n    Senior\n    Planner\n  tools: [search, 'read: all']\n  allow_delegation: false\n\
                    writer:\n  <<: *base\n  role: Writer\n  max_iter: 3\n  goal: |\n    a\n    b\n---\nsecond: document\n";
        let wanted = json!({
            "planner": { "role": "Senior Planner\n", "tools": ["search", "read: all"], "allow_delegation": false },
            "writer": { "role": "Writer", "tools": ["search", "read: all"], "allow_delegation": false, "max_iter": "3", "goal": "a\nb\n" },
        });
        assert_eq!(read(text), Ok(wanted));
        assert_eq!(read(""), Ok(Value::Null));
        assert_eq!(read("just text"), Ok(json!("just text")));
    }

    #[test]
    fn bombs_and_nonsense_are_refused() {
        let mut laughs = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
        for (one, two) in "abcdefgh".chars().zip("bcdefghi".chars()) {
            let alias = format!("*{one}, ").repeat(9);
            laughs.push_str(&format!("{two}: &{two} [{alias} *{one}]\n"));
        }
        assert_eq!(read(&laughs), Err("it holds too many values".into()));
        assert_eq!(read(&"[".repeat(200)), Err("it is nested too deep".into()));
        let secret = read("key: \"hunter2").unwrap_err();
        assert!(secret.contains("line") && !secret.contains("hunter2"), "{secret}");
        assert!(read("a: b: c").is_err());
        assert!(read("a: *nobody").is_err());
    }
}
