//! What can go wrong below the port, and what it means above it.

use tandem_core::ports::StoreError;

/// Why a store was not opened. Nothing is created, changed or repaired in any of these cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The data was written by a newer release.
    NewerSchema { found: u64, known: u64 },
    /// There is something, but it is not a readable Tandem database. It is never replaced by an empty one.
    Unreadable(String),
    /// The database cannot be reached or written now.
    Unavailable(String),
    /// The address asks for something that is not supported.
    Unsupported(String),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NewerSchema { found, known } => write!(
                f,
                "the database has schema version {found}, this release knows versions up to {known}: start the newer release"
            ),
            Self::Unreadable(why) => write!(f, "the database is unreadable: {why}"),
            Self::Unavailable(why) => write!(f, "the database is unavailable: {why}"),
            Self::Unsupported(why) => write!(f, "unsupported database address: {why}"),
        }
    }
}

impl std::error::Error for OpenError {}

/// A failed statement or batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A uniqueness rule, a version or a lease was against it.
    Conflict,
    /// A row that is there cannot be understood.
    Corrupt(String),
    /// The database refuses this one statement; others may go on.
    Refused(String),
    /// The transaction lost against another one and may win when tried again.
    Retry(String),
    /// Nothing can be written or read now.
    Unavailable(String),
}

impl Fault {
    /// True when only the operation that met the fault failed, and the rest of its batch may go on.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Conflict | Self::Corrupt(_) | Self::Refused(_) => true,
            Self::Retry(_) | Self::Unavailable(_) => false,
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Conflict => Self::Conflict,
            Fault::Corrupt(why) => Self::Corrupt(why),
            Fault::Refused(why) | Fault::Retry(why) | Fault::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Conflict => Self::Unavailable("another process changes the schema".into()),
            Fault::Corrupt(why) | Fault::Refused(why) => Self::Unreadable(why),
            Fault::Retry(why) | Fault::Unavailable(why) => Self::Unavailable(why),
        }
    }
}
