//! The telemetry file: one JSON line per record, on disk before it is acknowledged, beneath the data directory only.
//!
//! Every directory on the way is opened by its parent's descriptor without following links, so a link planted on the
//! path leads nowhere. At 16 MiB the file becomes `<name>.1`, older ones move up, and the fifth is dropped. A line that a
//! crash cut short is closed off before the next one, so one torn record never spoils another.
//!
//! Blocking on purpose; call it from a blocking task. Deliberately absent: writing a record once only (its caller knows
//! by record id), what a record holds, and which path a destination may have beyond staying inside.

use std::{
    fs::File,
    io::{self, Write as _},
    os::{fd::OwnedFd, unix::fs::FileExt as _},
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;

const ROTATE_BYTES: u64 = 16 * 1024 * 1024;
/// Rotated files that are kept.
const KEEP: u32 = 4;

/// Why a record was not written.
#[derive(Debug)]
pub enum TelemetryError {
    /// Blank, absolute, or with `..`: it does not name a file beneath the data directory.
    Path,
    /// Blank, or more than one line.
    NotALine,
    /// Something on the way is a link or not what it should be.
    NotPlain,
    Io(io::Error),
}

impl TelemetryError {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Path => "path_outside_state",
            Self::NotALine => "line_invalid",
            Self::NotPlain => "path_not_plain",
            Self::Io(_) => "write_failed",
        }
    }
}

impl std::fmt::Display for TelemetryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path => f.write_str("the path does not name a file beneath the data directory"),
            Self::NotALine => f.write_str("the record is not one line"),
            Self::NotPlain => f.write_str("a part of the path is a link or not a plain file or directory"),
            // The kind only: an operating system's text may name the path.
            Self::Io(error) => write!(f, "the record could not be written ({})", error.kind()),
        }
    }
}

impl std::error::Error for TelemetryError {}

impl From<Errno> for TelemetryError {
    fn from(errno: Errno) -> Self {
        match errno {
            // A link under NOFOLLOW, a file where a directory should be, and opening a pipe nobody reads.
            Errno::LOOP | Errno::NOTDIR | Errno::MLINK | Errno::ISDIR | Errno::NXIO => Self::NotPlain,
            other => Self::Io(other.into()),
        }
    }
}

impl From<io::Error> for TelemetryError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The file sink of one data directory.
#[derive(Debug)]
pub struct Telemetry {
    data_dir: PathBuf,
    rotate_bytes: u64,
    /// Lines of this process follow one another, and none is written while a file is rotated away.
    turn: Mutex<()>,
}

impl Telemetry {
    /// `data_dir` is the `incident-monitor` directory of the state directory. It is created when first needed.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), rotate_bytes: ROTATE_BYTES, turn: Mutex::new(()) }
    }

    /// Appends one line, given without its end, and returns once it is on disk.
    pub fn append(&self, path: &str, line: &str) -> Result<(), TelemetryError> {
        let parts = inside(path).ok_or(TelemetryError::Path)?;
        let (name, folders) = parts.split_last().ok_or(TelemetryError::Path)?;
        if line.is_empty() || line.contains('\n') {
            return Err(TelemetryError::NotALine);
        }
        let line = format!("{line}\n");

        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut folder = self.open_data_dir()?;
        for part in folders {
            folder = open_folder(&folder, part)?;
        }
        let file = open_file(&folder, name)?;
        let size = file.metadata()?.len();
        let line_bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if size > 0 && size.saturating_add(line_bytes) > self.rotate_bytes {
            rotate(&folder, name)?;
            return write(open_file(&folder, name)?, &folder, 0, &line);
        }
        write(file, &folder, size, &line)
    }

    fn open_data_dir(&self) -> Result<OwnedFd, TelemetryError> {
        std::fs::create_dir_all(&self.data_dir)?;
        // The state directory itself is the operator's choice and may lie behind a link.
        Ok(openat(CWD, &self.data_dir, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())?)
    }
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The path's parts; a leading `incident-monitor/` names the data directory itself. `None` if it could lead out.
fn inside(path: &str) -> Option<Vec<&str>> {
    if path.starts_with('/') || path.contains(['\0', '\\']) {
        return None;
    }
    let mut parts: Vec<&str> = path.trim().split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.len() > 1 && parts[0] == "incident-monitor" {
        parts.remove(0);
    }
    (!parts.is_empty() && !parts.contains(&"..")).then_some(parts)
}

fn open_folder(parent: &OwnedFd, name: &str) -> Result<OwnedFd, TelemetryError> {
    match mkdirat(parent, name, Mode::RWXU) {
        Ok(()) => rustix::fs::fsync(parent)?,
        Err(Errno::EXIST) => {}
        Err(other) => return Err(other.into()),
    }
    Ok(openat(parent, name, FOLDER, Mode::empty())?)
}

fn open_file(folder: &OwnedFd, name: &str) -> Result<File, TelemetryError> {
    // NONBLOCK so that a pipe in the file's place cannot hold us.
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?;
    let stat = fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(TelemetryError::NotPlain);
    }
    Ok(File::from(file))
}

fn write(mut file: File, folder: &OwnedFd, size: u64, line: &str) -> Result<(), TelemetryError> {
    let mut last = [b'\n'];
    if size > 0 {
        file.read_exact_at(&mut last, size - 1)?;
    }
    let torn = if last == *b"\n" { "" } else { "\n" };
    let written = file.write_all(format!("{torn}{line}").as_bytes()).and_then(|()| file.sync_data());
    if let Err(error) = written {
        // The caller is told that nothing was written, so nothing should be.
        let _ = file.set_len(size);
        return Err(error.into());
    }
    if size == 0 {
        rustix::fs::fsync(folder)?;
    }
    Ok(())
}

/// `name` becomes `name.1`, each `name.n` becomes `name.n+1`, and the last is dropped. Renames replace links, they do not
/// follow them.
fn rotate(folder: &OwnedFd, name: &str) -> Result<(), TelemetryError> {
    let numbered = |n: u32| if n == 0 { name.to_owned() } else { format!("{name}.{n}") };
    let absent_is_fine = |result: Result<(), Errno>| match result {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(other) => Err(other),
    };
    absent_is_fine(unlinkat(folder, numbered(KEEP), AtFlags::empty()))?;
    for n in (0..KEEP).rev() {
        absent_is_fine(renameat(folder, numbered(n), folder, numbered(n + 1)))?;
    }
    rustix::fs::fsync(folder)?;
    Ok(())
}

#[cfg(test)]
#[path = "telemetry_tests.rs"]
mod tests;
