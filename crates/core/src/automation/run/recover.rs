//! Putting back what failed: the failed and the blocked nodes, everything that was done on top of them, and everything that
//! was not done after them.

use super::record::{Run, RunStatus, StopKind};
use crate::automation::spec::Node;

/// Why there is nothing to put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// It failed, but at no node that is known.
    FailureContextMissing,
    /// It is blocked, but no node is named.
    BlockedContextMissing,
}

/// Whether a recovery has anything to go by. A run without nodes is simply done again, and so is one whose executor was
/// lost: nobody was left to name a node.
pub fn ground(run: &Run) -> Result<(), Nothing> {
    let checkpoint = &run.checkpoint;
    let known = [&checkpoint.completed_nodes, &checkpoint.pending_nodes, &checkpoint.blocked_nodes];
    let has_nodes = known.iter().any(|nodes| !nodes.is_empty());
    let names_one = !checkpoint.blocked_nodes.is_empty()
        || checkpoint.last_failure.as_ref().is_some_and(|failure| failure.node_id.is_some());
    let lost = run.stop_kind == Some(StopKind::StaleReaped);
    match run.status {
        RunStatus::Failed if has_nodes && !names_one && !lost => Err(Nothing::FailureContextMissing),
        RunStatus::Blocked if has_nodes && !names_one => Err(Nothing::BlockedContextMissing),
        RunStatus::Failed
        | RunStatus::Blocked
        | RunStatus::Queued
        | RunStatus::Running
        | RunStatus::Pausing
        | RunStatus::Paused
        | RunStatus::AwaitingApproval
        | RunStatus::Completed
        | RunStatus::Cancelled => Ok(()),
    }
}

/// The nodes to be done again: the blocked and the failed ones, and those of this run that depend on one of them, however
/// far away. `flow` is what the automation says of the order now.
pub fn again(run: &Run, flow: &[Node]) -> Vec<String> {
    let checkpoint = &run.checkpoint;
    let failed = checkpoint.last_failure.as_ref().and_then(|failure| failure.node_id.clone());
    let mut again: Vec<String> = checkpoint.blocked_nodes.clone();
    again.extend(failed.filter(|node| !checkpoint.blocked_nodes.contains(node)));
    let is_of_run =
        |node: &String| checkpoint.completed_nodes.contains(node) || checkpoint.pending_nodes.contains(node);
    let mut at = 0;
    while let Some(node) = again.get(at).cloned() {
        at += 1;
        let after = flow.iter().filter(|next| next.depends_on.contains(&node)).map(|next| &next.node_id);
        let new: Vec<String> = after.filter(|next| is_of_run(next) && !again.contains(next)).cloned().collect();
        again.extend(new);
    }
    again
}

/// Makes these nodes pending again. What they put out is taken back; what others put out stays.
pub fn reset(run: &mut Run, again: Vec<String>) {
    let checkpoint = &mut run.checkpoint;
    checkpoint.blocked_nodes.clear();
    checkpoint.last_failure = None;
    for node in again {
        checkpoint.completed_nodes.retain(|held| *held != node);
        checkpoint.node_outputs.remove(&node);
        if !checkpoint.pending_nodes.contains(&node) {
            checkpoint.pending_nodes.push(node);
        }
    }
}
