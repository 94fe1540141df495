//! What is counted: creations, one row each, and how many automations of agents there are.
//!
//! Creations are events. Deleting an automation does not undo that it was created, so it gives no quota back.

use serde::{Deserialize, Serialize};

use crate::record::{Collection, Column, Record};

/// An agent created an automation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Creation {
    pub automation_id: String,
    pub agent_id: String,
    pub created_at_ms: u64,
}

pub static CREATIONS: Collection = Collection { name: "governance_creations", columns: &["agent_id", "created_at_ms"] };

impl Record for Creation {
    const COLLECTION: &'static Collection = &CREATIONS;
    fn id(&self) -> &str {
        &self.automation_id
    }
    fn columns(&self) -> Vec<Column> {
        vec![Column::text(&self.agent_id), Column::ms(self.created_at_ms)]
    }
}

/// What a tenant has of things that are capped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TenantUsage {
    /// Created by agents and not deleted.
    pub agent_automations: u64,
    /// The sweeps of this tenant have their jobs.
    pub sweeps: bool,
}

impl TenantUsage {
    pub const ID: &'static str = "usage";
}

pub static USAGE: Collection = Collection { name: "governance_usage", columns: &[] };

impl Record for TenantUsage {
    const COLLECTION: &'static Collection = &USAGE;
    fn id(&self) -> &str {
        Self::ID
    }
    fn columns(&self) -> Vec<Column> {
        Vec::new()
    }
}
