//! Tools of other servers, reached over the Model Context Protocol: what is known of them and when they may be called.
//!
//! An operator registers a [`server`]; its [`listing`] becomes stored [`tool`] rows whose hash is pinned; [`names`]
//! decides which of them may be called; [`mapping`] fills a tool's arguments from a draft. Deliberately absent: connections
//! and the protocol itself (a driver's), and when a tool is called (a delivery's).

pub mod listing;
pub mod mapping;
pub mod names;
pub mod oauth;
pub mod server;
mod settings;
pub mod tool;

pub use listing::{Listed, Listing, Offered};
pub use server::{MCP_SERVERS, SecretHeader, ServerRow, ServerView, Transport};
pub use settings::{NewServer, ServerPatch, SettingError};
pub use tool::{MCP_TOOLS, ToolAnswer, ToolCall, ToolError, ToolFault, ToolRow};
