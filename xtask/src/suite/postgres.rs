//! A PostgreSQL of our own: a fresh cluster on a free port, trust authentication, nothing kept. Clusters of earlier runs
//! that were killed are stopped and removed first, so nothing piles up on a machine that is used again.

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::tools;
use crate::process;

const PREFIX: &str = "postgres-";

pub struct Postgres {
    programs: PathBuf,
    dir: PathBuf,
    user: Option<User>,
    port: u16,
    child: Child,
}

/// `initdb` refuses root, so everything of the cluster runs as another user then.
#[derive(Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

impl Postgres {
    pub fn start(work: &Path) -> Result<Self, String> {
        let programs = programs()?;
        let user = user()?;
        let dir = place(work, &programs, user)?;
        run(
            Command::new(programs.join("initdb")).arg("-D").arg(&dir).args([
                "--username=tandem",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ]),
            user,
        )?;
        let port = free_port()?;
        let log = fs::File::create(work.join("postgres.log")).map_err(|error| error.to_string())?;
        let errors = log.try_clone().map_err(|error| error.to_string())?;
        let mut command = Command::new(programs.join("postgres"));
        command.arg("-D").arg(&dir).current_dir(&dir).stdin(Stdio::null()).stdout(log).stderr(errors);
        let settings = [
            format!("port={port}"),
            "listen_addresses=127.0.0.1".into(),
            "unix_socket_directories=".into(),
            "fsync=off".into(),
            "max_connections=300".into(),
        ];
        for setting in &settings {
            command.args(["-c", setting]);
        }
        become_user(&mut command, user);
        let child = command.spawn().map_err(|error| format!("cannot start postgres: {error}"))?;
        let mut postgres = Self { programs, dir, user, port, child };
        postgres.wait_until_ready()?;
        println!("PostgreSQL on {}", postgres.url());
        Ok(postgres)
    }

    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// A new, empty database.
    pub fn database(&self, name: &str) -> Result<String, String> {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["--no-psqlrc", "--quiet", "--dbname", &self.url(), "--command"]);
        command.arg(format!("create database \"{name}\""));
        process::capture(&mut command)?;
        Ok(self.url_of(name))
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://tandem@127.0.0.1:{}/{database}", self.port)
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            let mut asked = Command::new(self.programs.join("pg_isready"));
            asked.args(["--quiet", "--dbname", &self.url()]);
            if asked.status().is_ok_and(|status| status.success()) {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("postgres ended at its start ({status}); see postgres.log"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("postgres did not get ready in 60 s".into())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        stop(&self.programs, &self.dir, self.user);
        let _ = process::wait(&mut self.child, Duration::from_secs(10));
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The server programs, installed when they are missing. Debian keeps them off the path.
fn programs() -> Result<PathBuf, String> {
    if let Some(dir) = installed() {
        return Ok(dir);
    }
    tools::apt(&["postgresql"])?;
    installed().ok_or_else(|| "PostgreSQL's initdb is not there, even after installing it".into())
}

fn installed() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, dir)| dir.join("initdb").is_file())
        .collect();
    versions.sort();
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|dir| dir.join("initdb").is_file() && dir.join("postgres").is_file())
    };
    versions.pop().map(|(_, dir)| dir).or_else(on_path)
}

fn user() -> Result<Option<User>, String> {
    let me = process::capture(Command::new("id").arg("-u"))?;
    if me.trim() != "0" {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| {
            let fields: Vec<&str> =
                passwd.lines().find(|line| line.split(':').next() == Some(name))?.split(':').collect();
            Some(User { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
        })
        .map(Some)
        .ok_or_else(|| "PostgreSQL must not run as root, and there is neither a user postgres nor nobody".into())
}

/// An empty directory that the cluster's user can reach: below the target directory, or, where that is closed to others
/// (a clone under /root), in the temporary directory.
fn place(work: &Path, programs: &Path, user: Option<User>) -> Result<PathBuf, String> {
    let mut refused = String::new();
    for base in [work.to_owned(), std::env::temp_dir().join("tandem-xtask")] {
        let dir = base.join(format!("{PREFIX}{}", std::process::id()));
        let made = fs::create_dir_all(&base).and_then(|()| {
            remove_leftovers(&base, programs, user);
            fs::create_dir(&dir)?;
            user.map_or(Ok(()), |user| chown(&dir, Some(user.uid), Some(user.gid)))
        });
        match made {
            Ok(()) => {
                let probe = dir.join("probe");
                if run(Command::new("touch").arg(&probe), user).is_ok() {
                    let _ = fs::remove_file(probe);
                    return Ok(dir);
                }
                let _ = fs::remove_dir_all(&dir);
                refused = format!("{} is closed to the user that PostgreSQL runs as", dir.display());
            }
            Err(error) => refused = format!("{}: {error}", dir.display()),
        }
    }
    Err(refused)
}

fn remove_leftovers(base: &Path, programs: &Path, user: Option<User>) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(owner) = name.strip_prefix(PREFIX) else { continue };
        if owner.parse::<u32>().is_ok() && !Path::new("/proc").join(owner).exists() {
            stop(programs, &entry.path(), user);
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn stop(programs: &Path, dir: &Path, user: Option<User>) {
    let mut command = Command::new(programs.join("pg_ctl"));
    let _ = run(command.arg("-D").arg(dir).args(["-m", "immediate", "-w", "-t", "20", "stop"]), user);
}

fn run(command: &mut Command, user: Option<User>) -> Result<(), String> {
    // A directory that the other user may not enter must not be the current one.
    command.current_dir("/");
    become_user(command, user);
    process::capture(command).map(drop)
}

fn become_user(command: &mut Command, user: Option<User>) {
    if let Some(User { uid, gid }) = user {
        command.uid(uid).gid(gid);
    }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| format!("no free port: {error}"))?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_closed_directory_is_not_used() {
        let Ok(Some(user)) = user() else {
            // Only root has a second user to think of.
            return;
        };
        let closed = std::env::temp_dir().join(format!("tandem-closed-{}", std::process::id()));
        fs::create_dir_all(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let place = place(&closed.join("xtask"), Path::new("/nonexistent"), Some(user));
        fs::remove_dir_all(&closed).unwrap();
        let place = place.unwrap();
        fs::remove_dir_all(&place).unwrap();
        assert!(!place.starts_with(&closed));
    }
}
