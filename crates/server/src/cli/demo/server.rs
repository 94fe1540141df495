//! The server that the demo drives: this binary once more, as `tandem serve`, in a process of its own with nothing of
//! the caller's `TANDEM_…` environment. The webhook secret reaches it as an operator would hand it over, by a variable.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::client::{As, Client};
use crate::cli::Fault;

/// The variable that holds the webhook's signing secret.
pub const SECRET_VARIABLE: &str = "DEMO_WEBHOOK_SECRET";
const START: Duration = Duration::from_secs(10);
const STOP: Duration = Duration::from_secs(10);

pub struct Server {
    child: Killed,
    pub pid: u32,
    pub address: SocketAddr,
    pub state_dir: PathBuf,
    pub token_file: PathBuf,
    pub ready_after: Duration,
}

impl Server {
    /// Starts on a free port and waits until `GET /global/health` says ready.
    pub async fn start(home: &Path, secret: &str) -> Result<(Self, Client), Fault> {
        let (state_dir, log) = (home.join("state"), home.join("server.log"));
        let output = File::create(&log)?;
        let began = Instant::now();
        let mut command = Command::new(std::env::current_exe()?);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TANDEM_")) {
            command.env_remove(name);
        }
        command
            .args(["serve", "--hostname", "127.0.0.1", "--port", "0", "--state-dir"])
            .arg(&state_dir)
            .env(SECRET_VARIABLE, secret)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        // Its own process group: an interrupt at the terminal reaches the demo, which then stops the server in order.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = Killed(Some(command.spawn()?));
        let address = loop {
            if let Some(address) = address_in(&fs::read_to_string(&log).unwrap_or_default()) {
                break address;
            }
            child.still_running(&log)?;
            pause(began, "the server did not say where it listens")?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let mut client = Client { address, token: String::new() };
        loop {
            let health = client.send(http::Method::GET, "/global/health", As::Nobody, None).await;
            if health.is_ok_and(|answer| answer.status == 200 && answer.body["ready"] == true) {
                break;
            }
            child.still_running(&log)?;
            pause(began, "the server did not become ready")?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let ready_after = began.elapsed();
        let token_file = state_dir.join("api-token");
        client.token = fs::read_to_string(&token_file)?.trim().to_owned();
        let pid = child.0.as_ref().map_or(0, Child::id);
        Ok((Self { child, pid, address, state_dir, token_file, ready_after }, client))
    }

    /// Asks it to stop, as an init system would, and says how it ended.
    pub async fn stop(mut self) -> Result<ExitStatus, Fault> {
        let asked = Instant::now();
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).ok_or("the server has no process id")?;
        let child = self.child.0.as_mut().ok_or("the server was left to itself")?;
        kill_process(pid, Signal::TERM)?;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if asked.elapsed() > STOP {
                return Err(Fault(format!("the server did not stop within {} s", STOP.as_secs())));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Lets it run on after the demo.
    pub fn leave(mut self) {
        drop(self.child.0.take());
    }
}

/// A child that ends with its owner: a demo that fails or is interrupted leaves no server behind.
struct Killed(Option<Child>);

impl Killed {
    fn still_running(&mut self, log: &Path) -> Result<(), Fault> {
        match self.0.as_mut().map(Child::try_wait) {
            Some(Ok(Some(status))) => {
                let said = fs::read_to_string(log).unwrap_or_default();
                Err(Fault(format!("the server ended at once ({status}):\n{said}")))
            }
            Some(Ok(None) | Err(_)) | None => Ok(()),
        }
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn pause(began: Instant, why: &str) -> Result<(), Fault> {
    if began.elapsed() > START { Err(Fault(format!("{why} within {} s", START.as_secs()))) } else { Ok(()) }
}

/// The address in the line with which `serve` begins.
fn address_in(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once(" listening on http://")?;
    rest.split_once('\n')?.0.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_only_when_its_line_is_complete() {
        assert_eq!(address_in("tandem 0.1.0 listening on http://127.0.0.1:4"), None);
        let line = "tandem 0.1.0 listening on http://127.0.0.1:45\nAPI token: …\n";
        assert_eq!(address_in(line), Some(SocketAddr::from(([127, 0, 0, 1], 45))));
    }
}
