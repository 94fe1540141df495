//! Tools of other servers, reached over the Model Context Protocol: what is known of them and when they may be called.
//!
//! Deliberately absent: connections and the protocol itself (a driver's), and when a tool is called (a delivery's).

pub mod tool;

pub use tool::{ToolAnswer, ToolCall, ToolError, ToolFault, ToolRow};
