//! The fields of one record, whatever its notation: what each is for, and whether together they are a failure.

use tandem_core::{signal::SafetyContext, text::truncate};

use super::{
    aliases::{self, SLOTS, Slot},
    json::{End, Reader, Value, joined},
    level::{Level, Scale},
    time,
};

/// Longest text of a stack or message that is kept.
const LONG: usize = 32 * 1024;
/// Longest name, identifier or other field that is kept.
const SHORT: usize = 240;
/// Longest name of who acted, with what; longest word for a state.
const WHO: usize = 160;
const STATE: usize = 120;
/// How many other fields are kept for the reader.
const FIELDS: usize = 24;
/// The longest fingerprint of a caller; what is longer is hashed at intake anyway.
const FINGERPRINT: usize = 1_024;
/// How many external identifiers are kept.
const CORRELATIONS: usize = 20;

/// A record's fields in their places.
#[derive(Debug, Default)]
pub struct Record {
    level: Option<(Level, u8)>,
    slots: [Option<(u8, String)>; SLOTS],
    time: Option<(u64, u8)>,
    /// A field that only errors have is filled.
    evident: bool,
    /// What has no place of its own.
    pub fields: Vec<(String, String)>,
}

impl Record {
    /// Reads a JSON record, and says whether it is whole. `None`: it is no record. One that breaks off still counts when
    /// it has stated its level by then.
    pub fn of_json(reader: &mut Reader, bytes: &[u8], now_ms: u64) -> Option<(Self, bool)> {
        let mut record = Self::default();
        let end = reader.members(bytes, |path, value| {
            record.offer(path, value, now_ms);
            true
        });
        let whole = end == End::Whole;
        (whole || record.stated().is_some()).then_some((record, whole))
    }

    /// The level that a JSON record states, without keeping anything of it. The field that outranks all others ends the
    /// reading, so most records are passed over after a few bytes. `None`: it states none, or breaks off.
    pub fn early_level(reader: &mut Reader, bytes: &[u8]) -> Option<Level> {
        let mut best: Option<(Level, u8)> = None;
        let end = reader.members(bytes, |path, value| {
            if let Some((scale, rank)) = aliases::level(path)
                && let Some(level) = level_of(scale, value)
            {
                if best.is_none_or(|(_, before)| rank < before) {
                    best = Some((level, rank));
                }
                return rank > 0;
            }
            true
        });
        best.filter(|_| matches!(end, End::Enough | End::Whole)).map(|(level, _)| level)
    }

    /// Takes one field in.
    pub fn offer(&mut self, path: &str, value: Value<'_>, now_ms: u64) {
        if let Some((scale, rank)) = aliases::level(path)
            && let Some(level) = level_of(scale, value)
        {
            if self.level.is_none_or(|(_, before)| rank < before) {
                self.level = Some((level, rank));
            }
            return;
        }
        let Some((slot, rank)) = aliases::slot(path) else { return self.keep(path, value) };
        match slot {
            Slot::Noise => {}
            Slot::Time => {
                let moment = match value {
                    Value::Text(text) => time::of_text(&text.decode(SHORT), now_ms),
                    Value::Number(number) => time::of_number(number),
                    Value::Bool(_) | Value::Null | Value::Array(_) => None,
                };
                if let Some(moment) = moment
                    && self.time.is_none_or(|(_, before)| rank < before)
                {
                    self.time = Some((moment, rank));
                }
            }
            Slot::Message
            | Slot::Event
            | Slot::ErrorKind
            | Slot::Component
            | Slot::Process
            | Slot::ErrorType
            | Slot::ErrorMessage
            | Slot::Failure
            | Slot::Stack
            | Slot::Fingerprint
            | Slot::Actor
            | Slot::Model
            | Slot::Tool
            | Slot::Action
            | Slot::Policy
            | Slot::ApprovalState
            | Slot::RiskLevel
            | Slot::RiskCategory
            | Slot::BlastRadius
            | Slot::Correlations
            | Slot::Correlation
            | Slot::Run
            | Slot::Session
            | Slot::Request
            | Slot::Stream => self.place(path, slot, rank, value),
        }
        if let Some((slot, rank)) = aliases::also(path) {
            self.place(path, slot, rank, value);
        }
    }

    fn place(&mut self, path: &str, slot: Slot, rank: u8, value: Value<'_>) {
        let limit = match slot {
            Slot::Message | Slot::ErrorMessage | Slot::Failure | Slot::Stack => LONG,
            Slot::Fingerprint => FINGERPRINT,
            Slot::Correlations => CORRELATIONS * SHORT,
            _ => SHORT,
        };
        let text = match value {
            Value::Text(text) => text.decode(limit).into_owned(),
            Value::Array(array) if matches!(slot, Slot::Stack | Slot::Failure | Slot::Correlations) => {
                joined(array, limit)
            }
            Value::Number(number) if matches!(slot, Slot::Run | Slot::Session | Slot::Request | Slot::Actor) => {
                number.to_owned()
            }
            Value::Number(_) | Value::Bool(_) | Value::Null | Value::Array(_) => return,
        };
        if text.trim().is_empty() || (slot == Slot::Failure && absent(&text)) {
            return;
        }
        if matches!(slot, Slot::Failure | Slot::Stack | Slot::ErrorType | Slot::ErrorMessage) {
            self.evident |= aliases::evident(path);
        }
        let place = &mut self.slots[slot as usize];
        if place.as_ref().is_none_or(|(before, _)| rank < *before) {
            *place = Some((rank, text));
        }
    }

    fn keep(&mut self, path: &str, value: Value<'_>) {
        if self.fields.len() >= FIELDS {
            return;
        }
        let text = match value {
            Value::Text(text) => text.decode(SHORT).replace(['\n', '\r'], " "),
            Value::Number(number) => number.to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Null | Value::Array(_) => return,
        };
        if !text.trim().is_empty() {
            self.fields.push((path.to_owned(), text));
        }
    }

    /// The text in a slot.
    pub fn get(&self, slot: Slot) -> Option<&str> {
        self.slots[slot as usize].as_ref().map(|(_, text)| text.as_str())
    }

    /// Takes the text out of a slot.
    pub fn take(&mut self, slot: Slot) -> Option<String> {
        self.slots[slot as usize].take().map(|(_, text)| text)
    }

    /// When it happened, in milliseconds since 1970.
    pub fn time_ms(&self) -> Option<u64> {
        self.time.map(|(moment, _)| moment)
    }

    /// The level that the record states.
    pub fn stated(&self) -> Option<Level> {
        self.level.map(|(level, _)| level)
    }

    /// The level of the record. One that states none and carries an error is one.
    pub fn level(&self) -> Level {
        self.stated().unwrap_or(if self.evident { Level::Error } else { Level::Info })
    }

    /// Whether the record is only the wrapping that a container runtime puts around a line of text.
    pub fn envelope(&self) -> bool {
        self.level.is_none() && self.get(Slot::Stream).is_some() && self.get(Slot::Message).is_some()
    }

    /// Who acted with what.
    pub fn safety(&mut self) -> SafetyContext {
        let (ids, one) = (self.take(Slot::Correlations), self.take(Slot::Correlation));
        let ids = ids.as_deref().unwrap_or_default().split(['\n', ',']).chain(one.as_deref());
        let ids = ids.map(str::trim).filter(|id| !id.is_empty());
        let mut bounded = |slot, most| self.take(slot).map(|text| truncate(&text, most));
        SafetyContext {
            actor: bounded(Slot::Actor, WHO),
            model: bounded(Slot::Model, WHO),
            tool_name: bounded(Slot::Tool, WHO),
            action: bounded(Slot::Action, WHO),
            policy: bounded(Slot::Policy, WHO),
            approval_state: bounded(Slot::ApprovalState, STATE),
            risk_category: bounded(Slot::RiskCategory, STATE),
            blast_radius: bounded(Slot::BlastRadius, SHORT),
            external_correlation_ids: ids.take(CORRELATIONS).map(str::to_owned).collect(),
        }
    }
}

fn level_of(scale: Scale, value: Value<'_>) -> Option<Level> {
    match value {
        Value::Text(text) => {
            let text = text.decode(64);
            if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
                Level::of_number(scale, &text)
            } else {
                Level::of_word(&text)
            }
        }
        Value::Number(number) => Level::of_number(scale, number),
        Value::Bool(_) | Value::Null | Value::Array(_) => None,
    }
}

/// What programs write when there is no error.
fn absent(text: &str) -> bool {
    matches!(
        text.trim(),
        "-" | "0" | "null" | "nil" | "none" | "None" | "false" | "no" | "undefined" | "<nil>" | "{}" | "[]"
    )
}
