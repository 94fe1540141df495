//! Commands that speak MCP on their standard streams: the operator's own list of them, and their processes.
//!
//! The list is a file on this machine. No request can add to it or change what a name stands for: a registered server
//! holds only the name. The file is read when a command starts, so an edit needs no restart. A command gets an
//! environment of its own: a few names that programs need, and what its entry lists.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tandem_core::{
    mcp::{ToolError, ToolFault, names::valid_server},
    ports::Secrets,
};
use tokio::process::{ChildStdin, ChildStdout, Command};

const FILE_BYTES: u64 = 1 << 20;
/// What a command inherits, if it is set here.
const INHERITED: [&str; 7] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER"];

/// The operator's file of commands.
#[derive(Clone)]
pub struct Commands {
    path: PathBuf,
    secrets: Arc<dyn Secrets>,
}

/// One entry: `{"command": "/usr/bin/node", "args": […], "env": {"NAME": "value" or "env:OTHER"}, "cwd": "/…"}`.
#[derive(Debug, Default)]
struct Entry {
    command: String,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    cwd: Option<String>,
}

impl Commands {
    /// `path` need not exist; without it there are no commands.
    pub fn new(path: PathBuf, secrets: Arc<dyn Secrets>) -> Self {
        Self { path, secrets }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.entry(name).is_ok()
    }

    fn entry(&self, name: &str) -> Result<Entry, ToolError> {
        let refused = |why: String| ToolError::unsent(ToolFault::Refused, why);
        let text = read(&self.path).map_err(|why| refused(format!("the file of commands cannot be used: {why}")))?;
        let file: serde_json::Value =
            serde_json::from_str(&text).map_err(|_| refused("the file of commands is no JSON".into()))?;
        let found = file.get("servers").and_then(|servers| servers.get(name)).filter(|_| valid_server(name));
        let entry = found.ok_or_else(|| refused(format!("the file of commands has no `{name}`")))?;
        parse(entry).ok_or_else(|| refused(format!("the entry `{name}` of the file of commands cannot be read")))
    }

    /// Starts the command. Its error output is not read.
    pub(super) fn spawn(&self, name: &str) -> Result<(Child, ChildStdout, ChildStdin), ToolError> {
        let entry = self.entry(name)?;
        let mut command = Command::new(&entry.command);
        command.args(&entry.args).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        for name in INHERITED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        for (key, value) in &entry.env {
            match value.starts_with("env:") {
                false => command.env(key, value),
                true => {
                    let secret = self.secrets.resolve(value).map_err(|_| {
                        ToolError::unsent(ToolFault::SecretUnavailable, format!("`{value}` has no value"))
                    })?;
                    command.env(key, secret.expose())
                }
            };
        }
        if let Some(cwd) = &entry.cwd {
            command.current_dir(cwd);
        }
        // A group of its own, so that what the command starts ends with it.
        command.process_group(0).kill_on_drop(true);
        let failed = |why| ToolError::unsent(ToolFault::ServerDisconnected, format!("`{name}` does not start: {why}"));
        let mut process = command.spawn().map_err(|error| failed(error.kind().to_string()))?;
        let (Some(stdout), Some(stdin)) = (process.stdout.take(), process.stdin.take()) else {
            return Err(failed("it has no standard streams".into()));
        };
        let group = process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok((Child { process, group }, stdout, stdin))
    }
}

fn parse(entry: &serde_json::Value) -> Option<Entry> {
    let texts = |key: &str| -> Option<Vec<String>> {
        match entry.get(key) {
            None => Some(Vec::new()),
            Some(list) => list.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        }
    };
    let env = match entry.get("env") {
        None => Some(BTreeMap::new()),
        Some(map) => map.as_object()?.iter().map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect(),
    };
    let cwd = match entry.get("cwd") {
        None => None,
        Some(cwd) => Some(cwd.as_str()?.to_owned()),
    };
    let command = entry.get("command")?.as_str().filter(|command| !command.is_empty())?.to_owned();
    Some(Entry { command, args: texts("args")?, env: env?, cwd })
}

/// Whoever can write this file runs commands as us, so only we and root may.
fn read(path: &Path) -> Result<String, String> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::File::open(path).map_err(|error| error.kind().to_string())?;
    let meta = file.metadata().map_err(|error| error.kind().to_string())?;
    let us = rustix::process::geteuid().as_raw();
    if !meta.is_file() || (meta.uid() != us && meta.uid() != 0) {
        return Err("it is no plain file of ours".into());
    }
    if meta.mode() & 0o022 != 0 {
        return Err("others may write to it (chmod go-w)".into());
    }
    let mut text = String::new();
    file.take(FILE_BYTES).read_to_string(&mut text).map_err(|error| error.kind().to_string())?;
    Ok(text)
}

/// A running command. Dropping it ends it and everything that it started.
pub(super) struct Child {
    process: tokio::process::Child,
    group: Option<Pid>,
}

impl Drop for Child {
    fn drop(&mut self) {
        // Not reaped yet, so the number is still this group's.
        if let (Ok(None), Some(group)) = (self.process.try_wait(), self.group) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tandem_core::ports::{Secret, SecretError};

    use super::*;

    struct None;
    impl Secrets for None {
        fn resolve(&self, _: &str) -> Result<Secret, SecretError> {
            Err(SecretError::Unavailable)
        }
    }

    #[test]
    fn only_names_of_a_file_that_nobody_else_writes() {
        let dir = std::env::temp_dir().join(format!("tandem-stdio-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let path = dir.join("commands.json");
        let commands = Commands::new(path.clone(), Arc::new(None));
        assert!(!commands.has("cat"));
        let body = r#"{"servers": {"cat": {"command": "/bin/cat"}, "bad": {"args": []}, "worse": {"command": "x", "args": "y"}}}"#;
        std::fs::write(&path, body).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("mode");
        assert!(commands.has("cat"));
        for name in ["bad", "worse", "other", "", "../cat", "servers"] {
            assert!(!commands.has(name), "{name}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o620)).expect("mode");
        assert!(!commands.has("cat"));
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
