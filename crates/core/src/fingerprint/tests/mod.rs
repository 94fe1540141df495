//! What must group, what must not, and that no input breaks the reader.

pub mod samples;

mod grouping;
mod properties;
