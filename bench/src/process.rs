//! The server and the floor as processes, from their start to their end.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{Fault, Plan, http};

/// The variable that holds the secret of every webhook destination.
pub const SECRET_VARIABLE: &str = "TANDEM_BENCH_WEBHOOK_SECRET";
pub const SECRET: &str = "bench-secret-0123456789abcdef0123456789abcdef";

pub struct Process {
    child: Child,
    pub address: SocketAddr,
    /// From its start to the first answer that says it is ready.
    pub ready_after: Duration,
}

impl Process {
    /// `tandem serve` on a state directory. Its log lines go to a file, as they would in production.
    pub async fn server(plan: &Plan, state: &Path) -> Result<Self, Fault> {
        std::fs::create_dir_all(state)?;
        let mut command = Command::new(&plan.server);
        command
            .args(["serve", "--port", "0", "--log-format", "json", "--state-dir"])
            .arg(state)
            .env("TANDEM_API_TOKEN", http::TOKEN)
            .env(SECRET_VARIABLE, SECRET)
            // A review after so many runs would be what is measured otherwise.
            .env("TANDEM_AGENT_AUTOMATION_RUN_REVIEW_THRESHOLD", "0")
            .stderr(File::create(state.with_extension("log"))?);
        Self::start(command).await
    }

    pub async fn floor(directory: &Path) -> Result<Self, Fault> {
        std::fs::create_dir_all(directory)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("floor").arg(directory.join("floor.db"));
        Self::start(command).await
    }

    async fn start(mut command: Command) -> Result<Self, Fault> {
        let begun = Instant::now();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().ok_or("no standard output")?;
        let mut out = BufReader::new(out);
        let mut line = String::new();
        while !line.contains("listening on http://") {
            line.clear();
            if out.read_line(&mut line)? == 0 {
                return Err(format!("the process ended: {}", child.wait()?).into());
            }
        }
        let address = line.trim().rsplit("http://").next().unwrap_or_default().parse()?;
        // It must be able to go on speaking.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        let mut process = Self { child, address, ready_after: Duration::ZERO };
        let mut connection = http::Connection::open(address).await?;
        let health = http::get("/global/health");
        while connection.call(&health).await? != 200 || connection.body().starts_with(b"{\"ready\":false") {
            if begun.elapsed() > Duration::from_secs(60) {
                return Err("not ready after a minute".into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        process.ready_after = begun.elapsed();
        Ok(process)
    }

    /// Resident memory in MiB.
    pub fn resident_mib(&self) -> Result<f64, Fault> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS")).ok_or("no VmRSS")?;
        let kib: f64 = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
        Ok(kib / 1024.0)
    }

    /// Processor seconds used so far.
    pub fn cpu_seconds(&self) -> Result<f64, Fault> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after = stat.rsplit(')').next().unwrap_or_default();
        let ticks = |n: usize| after.split_whitespace().nth(n).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
        Ok((ticks(11) + ticks(12)) / 100.0)
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self) -> Result<(), Fault> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone after a stop; otherwise nothing of the run may survive it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A fresh directory for one measurement.
pub fn scratch(plan: &Plan, name: &str) -> PathBuf {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    plan.scratch.join(format!("{n}-{name}"))
}
