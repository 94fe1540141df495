//! What an automation may do, who may change it, what it may cost, and how long it lives.
//!
//! Every rule here is a function that works at a [`Desk`](crate::decide::Desk): it reads the rows that it judges under
//! the tenant's lock, and what it changes is written in the same transaction, with its audit rows. So a limit of ten is
//! ten, however many ask at once and on however many servers.
//!
//! A transition is a file: [`create`], [`patch`] (escalation), [`agent_review`] (creation quota), [`spend`],
//! [`dependency`] and [`tool_server`] (revocation), [`health`] (drift), [`expiry`] and [`lifecycle`] (expiry, retirement,
//! resumption), [`deletion`], [`run`] (admission and reports), [`dual`] (two persons), [`approve`] (what a decision does),
//! [`consume`] (what is done elsewhere under an approval), [`quarantine`].
//!
//! Deliberately absent: an approval that resumes, re-arms or restores anything. It answers a question; the operator acts.
//! Absent too: any way to refund a quota, and a limit that lives only in memory.

// What is stored.
pub mod agent;
pub mod approval;
pub mod ledger;
pub mod limits;
pub mod money;
pub mod policy;
pub mod price;
pub mod record;
pub mod usage;
pub mod window;

// What is decided.
pub mod agent_review;
pub mod agents;
pub mod approve;
pub mod consume;
pub mod create;
pub mod deletion;
pub mod dependency;
pub mod dual;
pub mod effects;
pub mod expiry;
pub mod grant;
pub mod health;
pub mod lifecycle;
pub mod limits_change;
pub mod mutate;
pub mod patch;
pub mod quarantine;
pub mod request;
pub mod review;
pub mod run;
pub mod spend;
pub mod sweep;
pub mod tool_server;
pub mod view;

#[cfg(test)]
mod tests;

pub use limits::Base;
