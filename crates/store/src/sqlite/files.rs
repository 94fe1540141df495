//! The database file before SQLite sees it: created whole or not at all, and refused when it is not what it should be.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{ErrorKind, Read as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::{executor::block_on, session::SqliteSession};
use crate::{
    error::OpenError,
    schema::{self, Blank},
};

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn length(path: &Path) -> Result<Option<u64>, OpenError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::Unreadable(format!("{}: {error}", path.display()))),
    }
}

/// Makes sure that a sound-looking database is at `path`, creating it where there is nothing at all.
pub fn prepare(path: &Path) -> Result<(), OpenError> {
    let journal = length(&beside(path, "-wal"))?.unwrap_or_default();
    match length(path)? {
        None if journal > 0 => {
            Err(OpenError::Unreadable(format!("{} is missing, but its journal is there", path.display())))
        }
        None => create(path),
        Some(size) => inspect(path, size, journal),
    }
}

/// Builds the database under another name and gives it its own when it is complete, so that an empty file under its
/// own name is never the trace of an interrupted start.
fn create(path: &Path) -> Result<(), OpenError> {
    let unavailable = |error: std::io::Error| OpenError::Unavailable(format!("{}: {error}", path.display()));
    let draft = beside(path, ".new");
    for leftover in [draft.clone(), beside(&draft, "-wal"), beside(&draft, "-shm"), beside(&draft, "-journal")] {
        match fs::remove_file(&leftover) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(unavailable(error)),
            Ok(()) | Err(_) => {}
        }
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(unavailable)?;
    let mut session = SqliteSession::open(&draft)?;
    block_on(schema::migrate(&mut session, Blank::Accept))?;
    session.fold_journal()?;
    drop(session);
    file.sync_all().map_err(unavailable)?;
    fs::rename(&draft, path).map_err(unavailable)?;
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(unavailable)?;
    }
    Ok(())
}

fn inspect(path: &Path, size: u64, journal: u64) -> Result<(), OpenError> {
    let unreadable = OpenError::Unreadable;
    let mut header = [0; 100];
    let mut file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    file.read_exact(&mut header).map_err(|_| unreadable(format!("{size} bytes are no database")))?;
    if !header.starts_with(MAGIC) {
        return Err(unreadable("it is not an SQLite database".into()));
    }
    // With a journal the file may lawfully be shorter than its header says: the rest is in the journal.
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        page => u64::from(page),
    };
    let pages = u64::from(u32::from_be_bytes([header[28], header[29], header[30], header[31]]));
    if journal == 0 && size < page * pages {
        return Err(unreadable(format!("it is cut off: {size} bytes of {}", page * pages)));
    }
    let mode = file.metadata().map_err(|error| unreadable(error.to_string()))?.permissions().mode();
    if mode & 0o077 != 0 {
        // Best effort: a file of another owner that we may read and write is still ours to use.
        if let Err(error) = fs::set_permissions(path, Permissions::from_mode(0o600)) {
            tracing::warn!(%error, "the database file is open to other users");
        }
    }
    Ok(())
}
