//! The real binary as a child process: started on a free port and a state directory, killed, stopped, started again.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use crate::{Client, Scratch, until};

/// The full token of servers that are not told another one.
pub const TOKEN: &str = "it-full-token-0123456789abcdef";
/// Generous, because tests share few cores.
const START: Duration = Duration::from_secs(30);

/// How to start a server.
#[derive(Clone, Debug)]
pub struct Launch {
    binary: PathBuf,
    state: Arc<Scratch>,
    args: Vec<String>,
    env: Vec<(String, String)>,
    /// Exceeding the file size limit then is an error of the write instead of the end of the process.
    survive_file_limit: bool,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Launch {
    /// A server on a fresh state directory, on loopback and a free port, with the token [`TOKEN`].
    pub fn new(binary: &str, name: &str) -> Self {
        let env = [("TANDEM_API_TOKEN", TOKEN), ("TANDEM_LOG", "warn"), ("TANDEM_LOG_FORMAT", "json")];
        Self {
            binary: binary.into(),
            state: Arc::new(Scratch::new(name)),
            args: Vec::new(),
            env: env.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
            survive_file_limit: false,
        }
    }

    /// Where the state lives: a directory that the server makes itself.
    pub fn state_dir(&self) -> PathBuf {
        self.state.join("state")
    }

    pub fn scratch(&self) -> &Path {
        self.state.path()
    }

    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != key);
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The token is generated and kept in the state directory.
    #[must_use]
    pub fn own_token(mut self) -> Self {
        self.env.retain(|(known, _)| known != "TANDEM_API_TOKEN");
        self
    }

    #[must_use]
    pub fn survive_file_limit(mut self) -> Self {
        self.survive_file_limit = true;
        self
    }

    fn command(&self) -> Command {
        let mut command = if self.survive_file_limit {
            // An ignored signal stays ignored across exec.
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(&self.binary);
            shell
        } else {
            Command::new(&self.binary)
        };
        command.arg("serve").arg("--state-dir").arg(self.state_dir());
        if !self.args.iter().any(|arg| arg == "--port") {
            command.args(["--port", "0"]);
        }
        command.args(&self.args).env_clear();
        for kept in ["PATH", "HOME", "TMPDIR"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts the server and waits until it is ready.
    #[track_caller]
    pub fn start(&self) -> Server {
        let server = self.start_unready();
        server.wait_ready();
        server
    }

    /// Starts the server and waits until it has said where it listens.
    #[track_caller]
    pub fn start_unready(&self) -> Server {
        let mut child = self.command().spawn().expect("the binary starts");
        let output = Arc::new(Mutex::new(String::new()));
        let (tell, told) = channel();
        listen_to(child.stdout.take(), Arc::clone(&output), Some(tell));
        listen_to(child.stderr.take(), Arc::clone(&output), None);
        let address = address(&told).unwrap_or_else(|| {
            let _ = child.kill();
            let status = child.wait();
            panic!("the server did not start ({status:?}): {}", lock(&output))
        });
        Server { launch: self.clone(), child, address, output }
    }

    /// Runs a start that is expected to be refused, to its end.
    #[track_caller]
    pub fn refused(&self) -> Ended {
        let mut child = self.command().spawn().expect("the binary starts");
        let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
        let deadline = Instant::now() + START;
        let status = loop {
            if let Some(status) = child.try_wait().expect("the child can be waited for") {
                break status;
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the server should have refused to start: {}", drain(&mut stdout) + &drain(&mut stderr));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(!status.success(), "the server should have refused to start");
        Ended { status, stdout: drain(&mut stdout), stderr: drain(&mut stderr) }
    }
}

fn drain(pipe: &mut Option<impl Read>) -> String {
    let mut text = String::new();
    if let Some(pipe) = pipe {
        let _ = pipe.read_to_string(&mut text);
    }
    text
}

fn lock(output: &Mutex<String>) -> String {
    output.lock().map(|text| text.clone()).unwrap_or_default()
}

/// Collects what the child prints, so that its pipe never fills.
fn listen_to(pipe: Option<impl Read + Send + 'static>, output: Arc<Mutex<String>>, tell: Option<Sender<String>>) {
    let Some(pipe) = pipe else { return };
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { break };
            if let Ok(mut text) = output.lock()
                && text.len() < 4 << 20
            {
                text.push_str(&line);
                text.push('\n');
            }
            if let Some(tell) = &tell {
                let _ = tell.send(line);
            }
        }
    });
}

fn address(told: &Receiver<String>) -> Option<SocketAddr> {
    let deadline = Instant::now() + START;
    loop {
        let line = told.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
        if let Some((_, address)) = line.split_once("listening on http://") {
            return address.trim().parse().ok();
        }
    }
}

/// A running server. Killed when dropped.
pub struct Server {
    launch: Launch,
    child: Child,
    pub address: SocketAddr,
    output: Arc<Mutex<String>>,
}

impl Server {
    /// A client with the full token, over a connection of its own.
    pub fn client(&self) -> Client {
        self.stranger().bearer(TOKEN)
    }

    /// A client without any credential.
    pub fn stranger(&self) -> Client {
        Client::new(self.address)
    }

    pub fn state_dir(&self) -> PathBuf {
        self.launch.state_dir()
    }

    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// Everything printed so far.
    pub fn output(&self) -> String {
        lock(&self.output)
    }

    #[track_caller]
    pub fn wait_ready(&self) {
        let client = self.stranger().patience(Duration::from_secs(5));
        until(&format!("the server is ready: {}", self.output()), START, || {
            let reply = client.json("GET", "/global/health", &[], None).ok()?;
            (reply.status == 200).then_some(())
        });
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGKILL, and waits for the end. What the kernel holds for the process stays written, as after any crash of it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills and starts again on the same state.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill();
        *self = self.launch.start();
    }

    /// SIGTERM, and how the process ended and when.
    #[track_caller]
    pub fn terminate(&mut self) -> (ExitStatus, Duration) {
        let asked = Instant::now();
        kill_process(self.pid(), Signal::TERM).expect("the process can be signalled");
        let status =
            until("the process ends after SIGTERM", Duration::from_secs(20), || self.child.try_wait().ok().flatten());
        (status, asked.elapsed())
    }

    /// From now on no file of the process grows beyond this many bytes; `None` lifts the limit.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(self.pid()), Resource::Fsize, limit).expect("limits can be set");
    }

    fn pid(&self) -> Pid {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has an id")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            println!("--- output of the server at {}:\n{}", self.address, self.output());
        }
    }
}
