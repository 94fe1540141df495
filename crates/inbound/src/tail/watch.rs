//! Being woken when files change. A hint only: whoever waits polls besides, because network file systems, and systems
//! without inotify, wake nobody.
//!
//! One descriptor serves all sources. Directories are watched, not files, so renames and new files are seen too; a
//! directory that does not exist yet is found by polling.

use std::{io, path::Path, time::Duration};

#[cfg(target_os = "linux")]
pub use linux::{Waiter, Watch};
#[cfg(not(target_os = "linux"))]
pub use other::{Waiter, Watch};

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        collections::{BTreeMap, BTreeSet},
        mem::MaybeUninit,
        os::fd::{AsFd, BorrowedFd, OwnedFd},
    };

    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch},
        io::Errno,
    };

    use super::{Duration, Path, io};

    /// Directories watched at most; what is beyond is polled.
    const MOST: usize = 4_096;

    /// Wakes for changes below any of its directories.
    pub struct Watch {
        fd: OwnedFd,
        keys: BTreeMap<i32, BTreeSet<u64>>,
    }

    impl Watch {
        pub fn new() -> io::Result<Self> {
            Ok(Self { fd: init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?, keys: BTreeMap::new() })
        }

        /// Watches a directory on behalf of `key`. Doing so again does no harm.
        pub fn follow(&mut self, directory: &Path, key: u64) -> io::Result<()> {
            if self.keys.len() >= MOST {
                return Err(Errno::NOSPC.into());
            }
            let what = WatchFlags::MODIFY
                | WatchFlags::CREATE
                | WatchFlags::MOVED_TO
                | WatchFlags::MOVED_FROM
                | WatchFlags::DELETE
                | WatchFlags::ONLYDIR;
            let watch = add_watch(&self.fd, directory, what)?;
            self.keys.entry(watch).or_default().insert(key);
            Ok(())
        }

        /// Forgets what `key` follows.
        pub fn forget(&mut self, key: u64) {
            let fd = &self.fd;
            self.keys.retain(|watch, keys| {
                keys.remove(&key);
                if keys.is_empty() {
                    // It may be gone with its directory.
                    let _ = remove_watch(fd, *watch);
                }
                !keys.is_empty()
            });
        }

        /// Blocks until something changed or the time is over. `true`: something changed.
        pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
            wait(&self.fd, timeout)
        }

        /// For a thread that waits while others follow and drain.
        pub fn waiter(&self) -> io::Result<Waiter> {
            Ok(Waiter(self.fd.try_clone()?))
        }

        /// The keys whose directories changed since the last time. Never blocks.
        pub fn drain(&mut self) -> io::Result<BTreeSet<u64>> {
            let mut changed = BTreeSet::new();
            let mut buffer = [MaybeUninit::uninit(); 4_096];
            let mut reader = Reader::new(&self.fd, &mut buffer);
            loop {
                match reader.next() {
                    Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => {
                        changed.extend(self.keys.values().flatten());
                    }
                    Ok(event) => {
                        changed.extend(self.keys.get(&event.wd()).into_iter().flatten());
                        if event.events().contains(ReadFlags::IGNORED) {
                            self.keys.remove(&event.wd());
                        }
                    }
                    Err(Errno::AGAIN | Errno::INTR) => return Ok(changed),
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }

    /// Waits for the changes of one [`Watch`].
    pub struct Waiter(OwnedFd);

    impl Waiter {
        /// As [`Watch::wait`].
        pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
            wait(&self.0, timeout)
        }
    }

    fn wait(fd: &OwnedFd, timeout: Duration) -> io::Result<bool> {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(fd, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    impl AsFd for Watch {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.fd.as_fd()
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use std::collections::BTreeSet;

    use super::{Duration, Path, io};

    /// Wakes nobody: polling is all there is here.
    pub struct Watch;

    impl Watch {
        pub fn new() -> io::Result<Self> {
            Ok(Self)
        }

        pub fn follow(&mut self, _: &Path, _: u64) -> io::Result<()> {
            Ok(())
        }

        pub fn forget(&mut self, _: u64) {}

        pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
            std::thread::sleep(timeout);
            Ok(false)
        }

        pub fn drain(&mut self) -> io::Result<BTreeSet<u64>> {
            Ok(BTreeSet::new())
        }

        pub fn waiter(&self) -> io::Result<Waiter> {
            Ok(Waiter)
        }
    }

    pub struct Waiter;

    impl Waiter {
        pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
            std::thread::sleep(timeout);
            Ok(false)
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;

    use super::*;
    use crate::tail::testing::Scratch;

    #[test]
    fn changes_wake_those_who_follow_them() {
        let (one, two) = (Scratch::new(), Scratch::new());
        let mut watch = Watch::new().expect("starts");
        watch.follow(one.root(), 1).expect("follows");
        watch.follow(two.root(), 2).expect("follows");
        watch.follow(two.root(), 3).expect("follows");
        assert!(watch.drain().expect("drains").is_empty());
        assert!(!watch.wait(Duration::ZERO).expect("waits"));

        fs::write(one.path("a.log"), "x").expect("writes");
        assert!(watch.wait(Duration::from_secs(10)).expect("waits"));
        assert_eq!(watch.drain().expect("drains").into_iter().collect::<Vec<_>>(), [1]);

        watch.forget(3);
        fs::rename(one.path("a.log"), two.path("a.log")).expect("renames");
        assert_eq!(watch.drain().expect("drains").into_iter().collect::<Vec<_>>(), [1, 2]);

        watch.forget(1);
        fs::write(one.path("b.log"), "x").expect("writes");
        assert!(watch.drain().expect("drains").is_empty());
        assert!(watch.follow(&one.path("none"), 4).is_err());
    }
}
