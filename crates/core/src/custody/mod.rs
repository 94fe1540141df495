//! Evidence in somebody else's keeping: what is exported when and to where, and the receipt of each export.
//!
//! An export is one object: a run of rows of the log with the proof that they stand in a signed tree. Runs follow one
//! another without gap, and each is planned before anything is sent. What an object holds follows from its plan alone, and
//! its name from its rows and its digest; so an export that was cut off is made again under the same name, and never twice.
//!
//! Deliberately absent: sending, and the clock.

pub mod name;
pub mod receipt;
pub mod retention;
pub mod setting;
pub mod sigv4;
