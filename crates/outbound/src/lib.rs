//! Placeholder header, replaced with the crate.

pub mod workspace;
