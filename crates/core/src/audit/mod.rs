//! The audit log, as pure computation: what a row is, how rows form a Merkle tree, what the log signs, and how
//! anyone can check it.
//!
//! - [`event`] seals a row: its canonical bytes and its leaf hash.
//! - [`merkle`] is RFC 6962 hashing and the frontier that makes an append cost O(log n).
//! - [`plan`] and [`proof`] make and check inclusion, consistency and range proofs.
//! - [`note`] and [`checkpoint`] are the C2SP signed note and tlog-checkpoint formats.
//! - [`dsse`] signs statements about other files with the same key.
//! - [`bundle`] is the shape of an export; [`verify`] checks one offline, reading rows through [`reader`] only.
//! - [`evidence`] holds documents and the log that tells of them together.
//! - [`witness`] has others sign that the log only grew; [`cosigned`] is what they signed last;
//!   [`cosignatures`] checks it beside an export.
//! - [`integrity`] judges the rows of a store against the heads that were signed.
//!
//! Deliberately absent: storage, the clock, the choice of when to sign, and keys at rest.

pub mod acknowledge;
pub mod bundle;
pub mod checkpoint;
pub mod cosignatures;
pub mod cosigned;
pub mod dsse;
pub mod event;
pub mod evidence;
pub mod integrity;
pub mod merkle;
pub mod note;
pub mod plan;
pub mod proof;
pub mod reader;
pub mod verify;
pub mod witness;
