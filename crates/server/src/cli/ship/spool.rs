//! What one source has read and not yet handed over, on the disk.
//!
//! The position and the reports that were found before it are one file, replaced whole. So a process that is killed
//! anywhere sends the very same reports with the very same keys again, and the server counts each once.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tandem_core::source::file::SourcePosition;

/// One report on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    pub key: String,
    /// The body as it is sent.
    pub body: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// Random; keeps the keys of two hosts apart.
    pub instance: String,
    /// Of the next report.
    pub sequence: u64,
    pub position: SourcePosition,
    pub unsent: Vec<Parcel>,
    pub sent: u64,
    /// Reports that the server will never accept.
    pub refused: u64,
    /// Gaps with known losses, and gaps where something may be lost.
    pub gaps: (u64, u64),
}

impl Saved {
    pub fn key(&mut self) -> String {
        self.sequence += 1;
        format!("ship-{}-{}", self.instance, self.sequence)
    }
}

pub struct Spool {
    path: PathBuf,
}

impl Spool {
    pub fn new(directory: &Path, project: &str, source: &str) -> Self {
        // Ids hold no `+`.
        Self { path: directory.join(format!("{project}+{source}.json")) }
    }

    /// What was stored last; `None` when nothing was.
    ///
    /// # Errors
    /// It cannot be read: starting over would lose or double what it says.
    pub fn load(&self) -> io::Result<Option<Saved>> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Durable when it returns.
    pub fn store(&self, saved: &Saved) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(saved)?)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}
