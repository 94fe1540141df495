//! `tandem serve` on a free port and a temporary state directory.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::process;

pub const TOKEN: &str = "tandem_test_token_for_the_client_suites";
/// The variable that holds the webhook's secret, and its value.
pub const HOOK_SECRET: (&str, &str) = ("TANDEM_CLIENT_TEST_HOOK_SECRET", "a secret for the client suites");
const READY_IN: Duration = Duration::from_secs(30);
const STOP_IN: Duration = Duration::from_secs(10);

pub struct Server {
    pub url: String,
    child: Child,
    state: PathBuf,
}

impl Server {
    /// `name` tells the servers of one run apart, in the work directory and in the names of their logs.
    pub fn start(binary: &Path, work: &Path, name: &str, database: Option<&str>) -> Result<Self, String> {
        Self::start_with(binary, work, name, |command| {
            command.env("TANDEM_API_TOKEN", TOKEN);
            if let Some(url) = database {
                command.env("TANDEM_DATABASE_URL", url);
            }
        })
    }

    /// The same with what `more` adds to the command; no token is given otherwise.
    pub fn start_with(binary: &Path, work: &Path, name: &str, more: impl FnOnce(&mut Command)) -> Result<Self, String> {
        let state = work.join(format!("state-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&state);
        let log = work.join(format!("server-{name}.log"));
        let errors = fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let mut command = Command::new(binary);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TANDEM_")) {
            command.env_remove(name);
        }
        command.args(["serve", "--port", "0", "--log-format", "json", "--state-dir"]).arg(&state);
        command.env(HOOK_SECRET.0, HOOK_SECRET.1);
        more(&mut command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", binary.display()))?;
        let said = child.stdout.take().ok_or("the server's output is closed")?;
        let mut server = Self { url: String::new(), child, state };
        server.url = address(said).ok_or_else(|| format!("the server named no address; see {}", log.display()))?;
        server.wait_until_ready()?;
        println!("server on {}, log in {}", server.url, log.display());
        Ok(server)
    }

    fn wait_until_ready(&self) -> Result<(), String> {
        let until = Instant::now() + READY_IN;
        let mut last = String::new();
        while Instant::now() < until {
            last = self.get("/global/health").unwrap_or_else(|error| error.to_string());
            if last.starts_with("HTTP/1.1 200") && last.contains("\"ready\":true") {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("the server was not ready in {READY_IN:?}: {last}"))
    }

    fn get(&self, path: &str) -> std::io::Result<String> {
        let host = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Asks it to stop. It must end by itself, in time, with exit code 0.
    pub fn stop(mut self) -> Result<(), String> {
        match process::stop(&mut self.child, STOP_IN) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("the server ended with {status}")),
            None => Err(format!("the server did not end within {STOP_IN:?}")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.state);
    }
}

/// The address from the server's first lines. The rest of its output is read on, so that the pipe never fills.
fn address(said: impl Read + Send + 'static) -> Option<String> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            if let Some((_, url)) = line.split_once("listening on ") {
                let _ = tell.send(url.trim().to_owned());
            }
        }
    });
    told.recv_timeout(READY_IN).ok()
}
