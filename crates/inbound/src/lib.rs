//! What comes in by itself: log files that grow on this machine.
//!
//! [`tail`] turns files into lines with exact byte offsets, through rotation, truncation and restarts. [`parse`] turns
//! lines into failures. Neither knows the store: the position in a file is a value that the caller keeps, and commits
//! together with what was found before it.
//!
//! Deliberately absent: threads, async and any decision about incidents. Calls block and are bounded, so the caller says
//! where they run and how much they may read.

mod line;
pub mod parse;
pub mod tail;

pub use line::Line;
