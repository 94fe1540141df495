//! What PostgreSQL's errors mean.

use tokio_postgres::{Error, error::SqlState};

use crate::error::Fault;

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let Some(db) = error.as_db_error() else {
            // No answer from the server: the connection is lost, or never was.
            return if is_decoding(&error) { Self::Corrupt(full(&error)) } else { Self::Unavailable(full(&error)) };
        };
        let why = format!("{} ({})", db.message(), db.code().code());
        match db.code() {
            &SqlState::UNIQUE_VIOLATION => Self::Conflict,
            &SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED | &SqlState::LOCK_NOT_AVAILABLE => {
                Self::Retry(why)
            }
            &SqlState::READ_ONLY_SQL_TRANSACTION => Self::Unavailable(why),
            // 08 connection, 53 resources, 57 intervention, 58 system, XX internal: the server, not the statement.
            code => match code.code().get(..2) {
                Some("08" | "28" | "3D" | "53" | "57" | "58" | "XX") => Self::Unavailable(why),
                _ => Self::Refused(why),
            },
        }
    }
}

fn is_decoding(error: &Error) -> bool {
    let text = error.to_string();
    text.starts_with("error deserializing column") || text.starts_with("error serializing parameter")
}

/// The error with its causes: "error connecting to server" alone helps nobody.
pub fn full(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
