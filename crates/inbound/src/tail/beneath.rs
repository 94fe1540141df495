//! Opening files beneath a workspace root, and nowhere else.
//!
//! The kernel resolves the path from the root's descriptor and refuses every step that would leave it, so nothing can be
//! exchanged between a check and the opening. Where the kernel cannot do that, or met a link that names its target from
//! `/`, the same is done by hand: each component is opened from the one before it without following links, and where a
//! link leads is walked from the root again. So links are followed where they stay inside, however they say so. What was
//! opened must be a regular file; it is asked through its descriptor.

use std::{
    collections::VecDeque,
    ffi::OsStr,
    fs::File,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags},
    io::Errno,
};
use tandem_core::source::file::{Fault, FileId};

use super::TailError;

/// What the file system says of one file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stat {
    pub id: FileId,
    pub size: u64,
    pub mtime_ms: u64,
    /// When it was last written to, renamed, or otherwise changed.
    pub ctime_ms: u64,
    pub kind: FileType,
}

/// The workspace root, open.
pub(super) struct Root {
    fd: OwnedFd,
    /// As it is configured.
    path: PathBuf,
}

/// Links followed in one path, as the kernel has it.
const LINKS: usize = 40;

const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Root {
    pub fn open(path: &Path) -> Result<Self, TailError> {
        let failed = |error: Errno| {
            let fault = match error {
                Errno::NOENT | Errno::NOTDIR => Fault::RootMissing,
                _ => fault(&error.into()),
            };
            TailError::new(fault, format!("the workspace root cannot be opened: {error}"))
        };
        let fd = rustix::fs::open(path, DIRECTORY, Mode::empty()).map_err(failed)?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// A regular file below the root.
    pub fn file(&self, path: &str) -> io::Result<(File, Stat)> {
        let file = File::from(self.resolve(path, FILE)?);
        let stat = stat(&file)?;
        if stat.kind != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, NotAFile));
        }
        Ok((file, stat))
    }

    /// Whether a link on the way to a path leads out of the root, as far as the path is there.
    pub fn leads_out(&self, path: &str) -> bool {
        self.resolve(path, FILE).is_err_and(|error| fault(&error) == Fault::OutsideRoot)
    }

    /// The entries of a directory below the root: name, inode, type as far as the directory knows it.
    pub fn list(&self, path: &str) -> io::Result<Directory> {
        let fd = if path.is_empty() { self.fd.try_clone()? } else { self.resolve(path, DIRECTORY)? };
        Ok(Directory { entries: Dir::read_from(&fd)?, fd })
    }

    fn resolve(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        match by_kernel(&self.fd, path, flags) {
            Some(result) => result,
            None => self.by_hand(path, flags),
        }
    }

    /// Component by component. Where a link leads takes the link's place in what is still to be walked.
    fn by_hand(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let mut below: Vec<OwnedFd> = Vec::new();
        let mut rest = components(path.as_bytes());
        if path.starts_with('/') {
            return Err(Errno::XDEV.into());
        }
        let mut links = 0;
        while let Some(part) = rest.pop_front() {
            if part == b".." {
                // Above the root there is nothing.
                below.pop().ok_or(Errno::XDEV)?;
                continue;
            }
            let at = below.last().unwrap_or(&self.fd);
            let flags = if rest.is_empty() { flags } else { DIRECTORY };
            let error = match rustix::fs::openat(at, &part[..], flags | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(opened) => {
                    below.push(opened);
                    continue;
                }
                Err(error @ (Errno::LOOP | Errno::NOTDIR)) => error,
                Err(error) => return Err(error.into()),
            };
            let Ok(target) = rustix::fs::readlinkat(at, &part[..], Vec::new()) else { return Err(error.into()) };
            links += 1;
            if links > LINKS {
                return Err(Errno::LOOP.into());
            }
            let mut target = target.to_bytes();
            let inside;
            if target.starts_with(b"/") {
                inside = self.inside(Path::new(OsStr::from_bytes(target))).ok_or(Errno::XDEV)?;
                target = inside.as_os_str().as_bytes();
                below.clear();
            }
            let mut walk = components(target);
            walk.append(&mut rest);
            rest = walk;
        }
        below.pop().map_or_else(|| self.fd.try_clone(), Ok)
    }

    /// A path from `/` as one from the root: by the root's configured name, or by the one without links.
    fn inside(&self, target: &Path) -> Option<PathBuf> {
        let below = |root: &Path| target.strip_prefix(root).ok().map(Path::to_path_buf);
        below(&self.path).or_else(|| below(&self.path.canonicalize().ok()?))
    }
}

fn components(path: &[u8]) -> VecDeque<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.map(<[u8]>::to_vec).collect()
}

pub(super) struct Directory {
    fd: OwnedFd,
    pub entries: Dir,
}

impl Directory {
    /// Of the entry itself, not of what it may link to.
    pub fn stat(&self, name: &str) -> io::Result<Stat> {
        stat_at(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Which directory it is.
    pub fn id(&self) -> io::Result<FileId> {
        Ok(stat_at(&self.fd, "", AtFlags::EMPTY_PATH)?.id)
    }
}

/// An error of its own, so that it is told apart from what the kernel says.
#[derive(Debug)]
struct NotAFile;

impl std::fmt::Display for NotAFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not a regular file")
    }
}

impl std::error::Error for NotAFile {}

/// What an error means to whoever configured the source.
pub(super) fn fault(error: &io::Error) -> Fault {
    if error.get_ref().is_some_and(|inner| inner.is::<NotAFile>()) {
        return Fault::NotAFile;
    }
    match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NOTDIR) => Fault::NotFound,
        Some(Errno::ACCESS | Errno::PERM) => Fault::PermissionDenied,
        Some(Errno::XDEV | Errno::LOOP) => Fault::OutsideRoot,
        // What opening a socket, or a device without a driver, says.
        Some(Errno::NXIO | Errno::ISDIR | Errno::NODEV) => Fault::NotAFile,
        _ => Fault::Io,
    }
}

pub(super) fn stat(file: &File) -> io::Result<Stat> {
    stat_at(file, "", AtFlags::EMPTY_PATH)
}

#[cfg(target_os = "linux")]
fn stat_at(fd: impl rustix::fd::AsFd, name: &str, flags: AtFlags) -> io::Result<Stat> {
    use rustix::fs::StatxFlags;
    let found = rustix::fs::statx(fd, name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
    let born = found.stx_btime;
    let known = found.stx_mask & StatxFlags::BTIME.bits() != 0;
    let born_ns = || u64::try_from(born.tv_sec).unwrap_or(0).saturating_mul(1_000_000_000) + u64::from(born.tv_nsec);
    Ok(Stat {
        id: FileId {
            device: rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
            born_ns: known.then(born_ns),
        },
        size: found.stx_size,
        mtime_ms: milliseconds(found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec.into()),
        ctime_ms: milliseconds(found.stx_ctime.tv_sec, found.stx_ctime.tv_nsec.into()),
        kind: FileType::from_raw_mode(found.stx_mode.into()),
    })
}

#[cfg(not(target_os = "linux"))]
fn stat_at(fd: impl rustix::fd::AsFd, name: &str, flags: AtFlags) -> io::Result<Stat> {
    let found = if name.is_empty() { rustix::fs::fstat(fd)? } else { rustix::fs::statat(fd, name, flags)? };
    Ok(Stat {
        id: FileId { device: found.st_dev as u64, inode: found.st_ino as u64, born_ns: None },
        size: u64::try_from(found.st_size).unwrap_or(0),
        mtime_ms: milliseconds(found.st_mtime as i64, found.st_mtime_nsec as i64),
        ctime_ms: milliseconds(found.st_ctime as i64, found.st_ctime_nsec as i64),
        kind: FileType::from_raw_mode(found.st_mode),
    })
}

fn milliseconds(seconds: i64, nanoseconds: i64) -> u64 {
    u64::try_from(seconds.saturating_mul(1_000).saturating_add(nanoseconds / 1_000_000)).unwrap_or(0)
}

/// A rename elsewhere in the tree makes the kernel give up; it says to try again.
#[cfg(target_os = "linux")]
const TRIES: usize = 8;

/// `None`: the kernel has no answer, or one that is too strict.
#[cfg(target_os = "linux")]
fn by_kernel(root: &OwnedFd, path: &str, flags: OFlags) -> Option<io::Result<OwnedFd>> {
    use rustix::fs::ResolveFlags;
    for _ in 0..TRIES {
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(root, path, flags, Mode::empty(), how) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::NOSYS | Errno::OPNOTSUPP) => return None,
            // A link from `/` is outside to it, wherever it leads.
            Err(Errno::XDEV) => return None,
            // A container's filter may forbid the call as a whole; the steps by hand say the same of a file's own rights.
            Err(Errno::PERM) => return None,
            result => return Some(result.map_err(io::Error::from)),
        }
    }
    None
}

#[cfg(not(target_os = "linux"))]
fn by_kernel(_: &OwnedFd, _: &str, _: OFlags) -> Option<io::Result<OwnedFd>> {
    None
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::tail::testing::Scratch;

    fn opened(root: &Root, path: &str) -> Result<(), Fault> {
        root.file(path).map(|_| ()).map_err(|error| fault(&error))
    }

    #[test]
    fn nothing_outside_the_root_is_opened() {
        let scratch = Scratch::new();
        let (inside, outside) = (scratch.path("root"), scratch.path("outside"));
        fs::create_dir_all(inside.join("logs")).expect("creates");
        fs::create_dir_all(&outside).expect("creates");
        fs::write(outside.join("secret.log"), "x").expect("writes");
        fs::write(inside.join("logs/app.log"), "x").expect("writes");
        symlink("app.log", inside.join("logs/current.log")).expect("links");
        symlink("../../outside/secret.log", inside.join("logs/up.log")).expect("links");
        symlink(outside.join("secret.log"), inside.join("logs/absolute.log")).expect("links");
        symlink(&outside, inside.join("away")).expect("links");
        symlink("loop", inside.join("loop")).expect("links");
        symlink(inside.join("logs/app.log"), inside.join("logs/inside.log")).expect("links");
        symlink(inside.join("logs"), inside.join("here")).expect("links");
        symlink(inside.join("logs/../../outside/secret.log"), inside.join("around.log")).expect("links");
        symlink(scratch.path("root-and-more/x.log"), inside.join("beside.log")).expect("links");
        symlink("here/../logs/current.log", inside.join("chain.log")).expect("links");
        rustix::fs::mknodat(rustix::fs::CWD, inside.join("pipe"), FileType::Fifo, Mode::RUSR, 0).expect("makes a pipe");
        let root = Root::open(&inside).expect("opens");
        for (path, expected) in [
            ("logs/app.log", Ok(())),
            ("logs/current.log", Ok(())),
            ("logs/up.log", Err(Fault::OutsideRoot)),
            ("logs/absolute.log", Err(Fault::OutsideRoot)),
            ("away/secret.log", Err(Fault::OutsideRoot)),
            ("logs/inside.log", Ok(())),
            ("here/app.log", Ok(())),
            ("chain.log", Ok(())),
            ("here", Err(Fault::NotAFile)),
            ("around.log", Err(Fault::OutsideRoot)),
            ("beside.log", Err(Fault::OutsideRoot)),
            ("../outside/secret.log", Err(Fault::OutsideRoot)),
            ("/etc/passwd", Err(Fault::OutsideRoot)),
            ("loop", Err(Fault::OutsideRoot)),
            ("none.log", Err(Fault::NotFound)),
            ("logs", Err(Fault::NotAFile)),
            ("pipe", Err(Fault::NotAFile)),
        ] {
            assert_eq!(opened(&root, path), expected, "{path}");
            // Without the kernel's help it is the same.
            let by_hand = root.by_hand(path, FILE).and_then(|fd| stat(&File::from(fd)));
            let by_hand = by_hand
                .map_err(|error| fault(&error))
                .and_then(|stat| (stat.kind == FileType::RegularFile).then_some(()).ok_or(Fault::NotAFile));
            assert_eq!(by_hand, expected, "{path} by hand");
        }
        assert!(root.leads_out("away/none/none.log") && root.leads_out("logs/up.log"));
        assert!(!root.leads_out("here/none.log") && !root.leads_out("none/away/x.log") && !root.leads_out("pipe"));
        // The root may be known by a name with links in it.
        symlink(&inside, scratch.path("alias")).expect("links");
        let alias = Root::open(&scratch.path("alias")).expect("opens");
        for path in ["logs/inside.log", "here/app.log"] {
            assert_eq!(opened(&alias, path), Ok(()), "{path} below a link");
        }
        symlink(scratch.path("alias/logs/app.log"), inside.join("aliased.log")).expect("links");
        assert_eq!(opened(&alias, "aliased.log"), Ok(()));
    }

    #[test]
    fn a_root_that_is_not_there_is_no_root() {
        let scratch = Scratch::new();
        fs::write(scratch.path("file"), "x").expect("writes");
        for name in ["none", "file"] {
            assert_eq!(
                Root::open(&scratch.path(name)).map(|_| ()).map_err(|error| error.fault),
                Err(Fault::RootMissing)
            );
        }
    }

    #[test]
    fn directories_tell_their_entries() {
        let scratch = Scratch::new();
        fs::write(scratch.path("a.log"), "abc").expect("writes");
        let root = Root::open(scratch.root()).expect("opens");
        let mut directory = root.list("").expect("lists");
        let names: Vec<_> = directory.entries.by_ref().flatten().map(|e| e.file_name().to_bytes().to_vec()).collect();
        assert!(names.contains(&b"a.log".to_vec()));
        let (_, opened) = root.file("a.log").expect("opens");
        let seen = directory.stat("a.log").expect("stats");
        assert!(seen.id.is(&opened.id) && seen.size == 3 && seen.mtime_ms > 0);
    }
}
