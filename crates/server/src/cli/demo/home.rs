//! The demo's temporary directory: the server's state and log, a small workspace, the exported audit log. Private, and
//! gone at the end unless it is kept.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::samples::SAMPLES;

pub struct Home {
    pub path: PathBuf,
    kept: bool,
}

impl Home {
    pub fn create() -> io::Result<Self> {
        let name = format!("tandem-demo-{}", uuid::Uuid::now_v7().simple());
        // The system's directory may be reached through a link, and monitored paths are compared without links.
        let path = std::env::temp_dir().canonicalize()?.join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path, kept: false })
    }

    pub fn keep(mut self) {
        self.kept = true;
    }

    pub fn bundle(&self) -> PathBuf {
        self.path.join("audit.ndjson")
    }

    pub fn workspace(&self) -> PathBuf {
        self.path.join("workspace")
    }

    /// Writes the sources that the samples' stack traces point at. Returns whether they also have a history: that needs
    /// a `git` on this machine and is worth nothing but one more line on the screen.
    pub fn write_workspace(&self) -> io::Result<bool> {
        let root = self.workspace();
        for (path, text) in SAMPLES.iter().flat_map(|sample| sample.sources) {
            let file = root.join(path);
            fs::create_dir_all(file.parent().unwrap_or(&root))?;
            fs::write(file, text)?;
        }
        let git = |arguments: &[&str]| {
            Command::new("git")
                .args(["-c", "user.name=Demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false"])
                .args(arguments)
                .current_dir(&root)
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        Ok(git(&["init", "-q"])
            && git(&["add", "."])
            && git(&["commit", "-q", "--no-verify", "-m", "Settle invoices in the customer's currency"]))
    }

    /// A log that has lines already: a source begins at the end of what was there before it.
    pub fn begin_log(&self, path: &str) -> io::Result<()> {
        let file = self.workspace().join(path);
        fs::create_dir_all(file.parent().unwrap_or(&self.path))?;
        fs::write(file, super::samples::log_round(99))
    }

    /// Every file that the server wrote, with its bytes as text.
    pub fn written(&self) -> io::Result<Vec<(PathBuf, String)>> {
        let mut files = vec![self.path.join("server.log")];
        collect(&self.path.join("state"), &mut files)?;
        let mut read = Vec::new();
        for path in files {
            match fs::read(&path) {
                Ok(bytes) => read.push((path, String::from_utf8_lossy(&bytes).into_owned())),
                // The server goes on working while it is looked at.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    /// The end of the server's log.
    pub fn last_words(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path.join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].iter().map(|line| (*line).to_owned()).collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
