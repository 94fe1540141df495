//! Putting back what failed: the failed and the blocked nodes, and everything that was not done after them.

use super::record::{Run, RunStatus};

/// Why there is nothing to put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// It failed, but at no node that is known.
    FailureContextMissing,
    /// It is blocked, but no node is named.
    BlockedContextMissing,
}

/// Whether a recovery has anything to go by. A run without nodes is simply done again.
pub fn ground(run: &Run) -> Result<(), Nothing> {
    let checkpoint = &run.checkpoint;
    let has_nodes = !(checkpoint.completed_nodes.is_empty() && checkpoint.pending_nodes.is_empty());
    let names_failure = checkpoint.last_failure.is_some() || !checkpoint.blocked_nodes.is_empty();
    match run.status {
        RunStatus::Failed if has_nodes && !names_failure && checkpoint.pending_nodes.is_empty() => {
            Err(Nothing::FailureContextMissing)
        }
        RunStatus::Blocked if has_nodes && !names_failure && checkpoint.pending_nodes.is_empty() => {
            Err(Nothing::BlockedContextMissing)
        }
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

/// Makes the failed and blocked nodes pending again. What they put out is taken back; what others put out stays.
pub fn reset(run: &mut Run) {
    let checkpoint = &mut run.checkpoint;
    let mut again: Vec<String> = std::mem::take(&mut checkpoint.blocked_nodes);
    again.extend(checkpoint.last_failure.take().and_then(|failure| failure.node_id));
    for node in again {
        checkpoint.completed_nodes.retain(|held| *held != node);
        checkpoint.node_outputs.remove(&node);
        if !checkpoint.pending_nodes.contains(&node) {
            checkpoint.pending_nodes.push(node);
        }
    }
}
