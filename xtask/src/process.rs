//! Children: run while showing, run quietly, try again, stop politely.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How a child that was shown ended, with everything it said.
pub struct Shown {
    pub ok: bool,
    pub lines: Vec<String>,
}

/// Runs the child, passes its lines on as they come, and keeps them.
pub fn show(command: &mut Command) -> Result<Shown, String> {
    let name = name(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start {name}: {error}"))?;
    let lines = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let (out, err) = (child.stdout.take(), child.stderr.take());
        if let Some(out) = out {
            scope.spawn(|| pass_on(out, &lines));
        }
        if let Some(err) = err {
            scope.spawn(|| pass_on(err, &lines));
        }
    });
    let status = child.wait().map_err(|error| format!("{name}: {error}"))?;
    Ok(Shown { ok: status.success(), lines: lines.into_inner().unwrap_or_else(PoisonError::into_inner) })
}

fn pass_on(from: impl Read, lines: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(from);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        println!("{line}");
        lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        bytes.clear();
    }
}

/// Runs the child and returns its standard output; a failure carries what it said on standard error.
pub fn capture(command: &mut Command) -> Result<String, String> {
    let name = name(command);
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("cannot start {name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(format!("{name} failed ({})\n{}{}", output.status, tail(&out), tail(&err)))
}

/// For what needs the network: registries refuse now and then.
pub fn retry<T>(mut attempt: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let mut pause = Duration::from_secs(2);
    for _ in 0..3 {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(why) => println!("{why}\ntrying again in {pause:?}"),
        }
        thread::sleep(pause);
        pause *= 4;
    }
    attempt()
}

/// Whether a program of this name is on the path.
pub fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Asks a child to stop, waits, and kills it when it does not. `None` says that it had to be killed.
pub fn stop(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    // The shell's own `kill`: the program of that name is not on every machine.
    let _ = Command::new("sh").args(["-c", &format!("kill -TERM {}", child.id())]).status();
    let status = wait(child, patience);
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    status
}

pub fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + patience;
    while Instant::now() < until {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) => thread::sleep(Duration::from_millis(20)),
            Err(_) => return None,
        }
    }
    None
}

fn name(command: &Command) -> String {
    let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    format!("{} {}", command.get_program().to_string_lossy(), args.join(" "))
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].iter().map(|line| format!("{line}\n")).collect()
}
