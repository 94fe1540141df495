//! The server as its callers meet it: the real binary, over loopback, with nothing inside it replaced.
//!
//! One file per promise. Deliberately absent: what pure functions decide (their own tables do that), and timing guesses;
//! everything waits with a deadline.

mod answers;
mod approval;
mod assessment_report;
mod audit;
mod authority;
mod automation_events;
mod automations;
mod boot;
mod canary;
mod cards;
mod concurrency;
mod config;
mod context_runs;
mod crash;
mod custody;
mod disk;
mod executors;
mod governance;
mod governance_wire;
mod governed;
mod hostile;
mod intake;
mod lists;
mod log_sources;
mod mcp;
mod mcp_publish;
mod mcp_rpc;
mod permissions;
mod posture;
mod preview;
mod probes;
mod publish;
mod reach;
mod reassess;
mod redaction;
mod reports;
mod retention;
mod scan;
mod ship;
mod support;
mod tamper;
mod trackers;
mod webhooks;
