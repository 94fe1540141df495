//! The evidence of one run: what it did, who allowed it, which rows of the audit log say so, and what is missing.
//!
//! [`facts`] turns the stored records of a run into one shape, whatever kind of run it is. [`completeness`] judges them,
//! [`package`] shows them without payloads, [`ledger`] lists the effects by the sequence of the audit log.

pub mod completeness;
pub mod facts;
pub mod ledger;
pub mod package;

pub use completeness::{Completeness, completeness};
pub use facts::{Facts, RunFacts};
