//! What comes in by itself: log files that grow on this machine.
//!
//! [`tail`] turns files into lines with exact byte offsets, through rotation, truncation and restarts. [`parse`] turns
//! lines into failures; [`reader`] puts both together for one source. [`supervise`] keeps the fault of one source away from the others. None knows the store: the
//! position in a file is a value that the caller keeps, and commits together with what was found before it.
//!
//! Deliberately absent: threads, async and any decision about incidents. Calls block and are bounded, so the caller says
//! where they run and how much they may read.

mod line;
pub mod parse;
pub mod reader;
pub mod supervise;
pub mod tail;

pub use line::Line;
