//! The state directory: private to its owner, writable, and held by one process at a time.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

/// Directories such as `/tmp` have it: everybody may write there, and remove only what is their own.
const STICKY: u32 = 0o1000;

/// An opened state directory. Dropping it lets another process in; so does the death of this one, however it dies.
pub struct StateDir {
    pub path: PathBuf,
    _lock: File,
}

impl StateDir {
    pub fn open(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| format!("cannot create the state directory {shown}: {error}"))?;
        let meta = fs::metadata(path).map_err(|error| format!("cannot read the state directory {shown}: {error}"))?;
        if meta.permissions().mode() & 0o077 != 0 {
            // The directory holds tokens and evidence. One that others can enter is closed rather than refused, since a
            // volume that was mounted for this server, or a directory that was prepared for it, often arrives open. What
            // others live in is not ours to close.
            if let Some(whose) = shared(path, meta.permissions().mode()) {
                return Err(format!("the state directory {shown} is {whose}; pass a directory of its own"));
            }
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(|error| {
                format!("the state directory {shown} is open to other users ({error}); chmod 700 it")
            })?;
        }
        let lock_path = path.join("lock");
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|error| format!("the state directory {shown} is not writable: {error}"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => {
                let holder = fs::read_to_string(&lock_path).unwrap_or_default();
                let holder: String = holder.trim().chars().filter(char::is_ascii_digit).take(10).collect();
                let who = if holder.is_empty() { String::new() } else { format!(" (process {holder})") };
                format!("another tandem{who} uses the state directory {shown}; stop it or pass another --state-dir")
            }
            error => format!("cannot lock {}: {error}", lock_path.display()),
        })?;
        // The process id is for the message above only. Writing it also proves that the disk takes data.
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(|error| format!("the state directory {shown} is not writable: {error}"))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }
}

/// Who lives in a directory that is plainly not for one server alone.
fn shared(path: &Path, mode: u32) -> Option<&'static str> {
    let same =
        |other: &Path| fs::canonicalize(path).ok().is_some_and(|path| fs::canonicalize(other).ok() == Some(path));
    if mode & STICKY != 0 {
        return Some("a directory for everybody's files");
    }
    if same(Path::new("/")) {
        return Some("the root of the file system");
    }
    std::env::home_dir().is_some_and(|home| same(&home)).then_some("a home directory")
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A directory under the system's temporary one, removed when dropped.
    pub struct Scratch(pub PathBuf);

    impl Scratch {
        pub fn new() -> Self {
            Self(std::env::temp_dir().join(format!("tandem-test-{}", uuid::Uuid::now_v7().simple())))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn one_process_at_a_time_in_a_private_directory() {
        let scratch = Scratch::new();
        let held = StateDir::open(&scratch.0).unwrap();
        assert_eq!(fs::metadata(&held.path).unwrap().permissions().mode() & 0o777, 0o700);
        let refused = StateDir::open(&scratch.0).err().unwrap();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        drop(held);
        assert!(StateDir::open(&scratch.0).is_ok());
    }

    #[test]
    fn an_open_directory_is_closed() {
        let scratch = Scratch::new();
        fs::create_dir(&scratch.0).unwrap();
        fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o755)).unwrap();
        StateDir::open(&scratch.0).unwrap();
        assert_eq!(fs::metadata(&scratch.0).unwrap().permissions().mode() & 0o777, 0o700);
        // Opened again by somebody, with something in it.
        fs::write(scratch.0.join("notes"), "x").unwrap();
        fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o755)).unwrap();
        StateDir::open(&scratch.0).unwrap();
        assert_eq!(fs::metadata(&scratch.0).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn what_others_live_in_is_left_alone() {
        let scratch = Scratch::new();
        fs::create_dir(&scratch.0).unwrap();
        fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o1777)).unwrap();
        let refused = StateDir::open(&scratch.0).err().unwrap();
        assert!(refused.contains("everybody"), "{refused}");
        assert_eq!(fs::metadata(&scratch.0).unwrap().permissions().mode() & 0o7777, 0o1777);
        assert!(!scratch.0.join("lock").exists());
        assert_eq!(shared(Path::new("/"), 0o755), Some("the root of the file system"));
        assert_eq!(shared(&std::env::home_dir().unwrap(), 0o755), Some("a home directory"));
        assert_eq!(shared(&std::env::temp_dir().join("of-its-own"), 0o755), None);
    }
}
