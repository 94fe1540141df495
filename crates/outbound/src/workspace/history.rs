//! Recent commits that touched the files that were found, by `git` with fixed arguments.
//!
//! The repository is not trusted: its configuration may name programs to run, so every way by which `git log` would
//! start one is closed, and the environment is empty. No repository, no git, an error or a slow answer all mean: no
//! commits.

use std::{
    io::{Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use tandem_core::triage::research::{CommitRef, FileHit};

const TIMEOUT: Duration = Duration::from_secs(3);
const OUTPUT: u64 = 64 * 1024;
const SUBJECT: usize = 200;

pub fn commits(root: &Path, hits: &[FileHit]) -> Vec<CommitRef> {
    // Standard input: the revision, the end of revisions, one path for each line. The walk admits no line breaks.
    let mut input = String::from("HEAD\n--\n");
    let mut paths: Vec<&str> = hits.iter().map(|hit| hit.path.as_str()).collect();
    paths.sort_unstable();
    paths.dedup();
    if paths.is_empty() {
        return Vec::new();
    }
    for path in paths {
        input.push_str(path);
        input.push('\n');
    }
    let output = command(root).spawn().ok().and_then(|child| run(child, input.as_bytes())).unwrap_or_default();
    parse(&String::from_utf8_lossy(&output))
}

fn command(root: &Path) -> Command {
    let mut git = Command::new("git");
    git.args(["--no-pager", "--literal-pathspecs", "-C"])
        .arg(root)
        .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "protocol.allow=never"])
        .args(["log", "--no-show-signature", "--no-ext-diff", "--no-textconv", "--no-patch", "--no-color"])
        .args(["--no-notes", "--format=%H%x1f%ct%x1f%s%x1e", "-n", "5", "--stdin"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    git
}

/// Feeds the child and reads it, at most [`OUTPUT`] bytes and [`TIMEOUT`] long. The child is gone afterwards.
fn run(mut child: Child, input: &[u8]) -> Option<Vec<u8>> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let output = stdin.zip(stdout).and_then(|(mut stdin, stdout)| {
        let (done, finished) = mpsc::channel();
        // The input is smaller than a pipe's buffer, so writing it cannot wait for the reader.
        stdin.write_all(input).ok()?;
        drop(stdin);
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = stdout.take(OUTPUT).read_to_end(&mut bytes);
            // Nobody listens after the timeout, which is fine.
            let _ = done.send(read.map(|_| bytes));
        });
        finished.recv_timeout(TIMEOUT).ok()?.ok()
    });
    // Killing a child that has ended does nothing; an ended child must still be waited for.
    let _ = child.kill();
    let _ = child.wait();
    output
}

fn parse(output: &str) -> Vec<CommitRef> {
    output
        .split('\u{1e}')
        .filter_map(|record| {
            let mut fields = record.trim_start().splitn(3, '\u{1f}');
            let (hash, seconds, subject) = (fields.next()?, fields.next()?, fields.next()?);
            let valid = hash.len() >= 40 && hash.bytes().all(|b| b.is_ascii_hexdigit());
            valid.then_some(CommitRef {
                hash: hash.to_owned(),
                at_ms: seconds.parse::<u64>().ok()?.saturating_mul(1_000),
                subject: subject.chars().filter(|c| !c.is_control()).take(SUBJECT).collect(),
            })
        })
        .collect()
}
