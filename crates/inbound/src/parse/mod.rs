//! From lines to failures: records of JSON and plain text, and stacks that span lines.
//!
//! An [`Assembler`] reads one file's lines in order. Most are passed over by its gate; a record is a failure by the
//! level that it states; a line of text is one by its level, or because a runtime says so, and what follows it belongs
//! to it as long as it reads like the rest of the same trace. Whatever is not decided yet is held, and
//! [`Assembler::held_from`] says from where on, so that a position in the file never passes it.
//!
//! Deliberately absent: incidents, fingerprints, redaction (a [`Found`] becomes a report, and intake does the rest),
//! clocks (time comes in), and anything to store: a restart reads what was held again.

mod aliases;
mod assembler;
mod block;
mod context;
mod envelope;
mod found;
mod gate;
mod head;
mod json;
mod level;
mod logfmt;
mod record;
mod stack;
mod time;

pub use assembler::{Assembler, FormatSpec};
pub use found::{Found, Notation};
pub use level::Level;
