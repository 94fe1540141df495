//! `tandem ship`: another host's logs are counted once, whichever side is away in between.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tandem_testkit::{Client, Scratch, Server, bodies, until};

use crate::support::{all, configure, configured, keyed, launch};

const LONG: Duration = Duration::from_secs(60);

/// A host with a log, and what it needs to ship it.
struct Edge {
    scratch: Scratch,
    server: String,
}

impl Edge {
    fn new(name: &str, server: &Server, key: &str) -> Self {
        Self::of(name, &server.address.to_string(), key)
    }

    fn of(name: &str, address: &str, key: &str) -> Self {
        let scratch = Scratch::new(name);
        fs::create_dir_all(scratch.join("logs")).expect("creates");
        fs::write(scratch.join("key"), format!("{key}\n")).expect("writes");
        let config = format!(
            "[[sources]]\nproject_id = \"shop\"\nsource_id = \"edge\"\nroot = \"{}\"\npath = \"app.log\"\n\
             start_position = \"beginning\"\n",
            scratch.join("logs").display()
        );
        fs::write(scratch.join("sources.toml"), config).expect("writes");
        let server = format!("http://{address}");
        Self { scratch, server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    fn log(&self, errors: std::ops::Range<usize>) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path("logs/app.log")).expect("opens");
        for n in errors {
            let line = json!({ "level": "error", "message": format!("payment {n} failed"), "component": "checkout",
                "fingerprint": format!("edge-{}", n % 3) });
            writeln!(file, "{}\n{line}", json!({ "level": "info", "message": "fine" })).expect("writes");
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
        let path = |name: &str| self.path(name);
        command.arg("ship").args(["--server", &self.server]).arg("--key-file").arg(path("key"));
        command.arg("--config").arg(path("sources.toml")).arg("--state-dir").arg(path("state"));
        command
    }

    fn once(&self) -> Output {
        self.command().arg("--once").output().expect("runs")
    }

    fn start(&self) -> Child {
        self.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts")
    }
}

fn counted(admin: &Client) -> u64 {
    let incidents = all(admin, "/incident-monitor/incidents", "incidents");
    incidents.iter().filter_map(|incident| incident["occurrence_count"].as_u64()).sum()
}

fn rotate(logs: &Path) {
    fs::rename(logs.join("app.log"), logs.join("app.log.1")).expect("renames");
}

#[test]
fn another_hosts_failures_are_counted_once_through_outages_of_both_sides() {
    let project: Value = bodies::project("shop", "/srv/shop");
    // The same port again after a restart: the shipper knows only that one.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
    let mut server = launch("ship").arg("--port").arg(&port.to_string()).start();
    let admin = server.client();
    configure(&admin, json!({ "monitored_projects": [project] }));
    let (_, key) = keyed(&admin, json!({}));
    let edge = Edge::new("ship-edge", &server, &key);

    edge.log(0..40);
    let done = edge.once();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said} {}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("shop/edge: 40 sent, 0 refused, 0 waiting, 0 bytes behind"), "{said}");
    assert_eq!(counted(&admin), 40);
    assert_eq!(all(&admin, "/incident-monitor/incidents", "incidents").len(), 3);

    // Again: nothing is new.
    assert!(edge.once().status.success());
    assert_eq!(counted(&admin), 40);

    // The shipper is killed while it works, and the log is rotated meanwhile.
    for round in 0..4 {
        let mut shipper = edge.start();
        edge.log(40 + round * 30..70 + round * 30);
        let before = counted(&admin);
        until("something was counted", LONG, || (counted(&admin) > before).then_some(()));
        shipper.kill().expect("kills");
        shipper.wait().expect("ends");
        if round == 1 {
            rotate(&edge.path("logs"));
        }
    }
    assert!(edge.once().status.success());
    assert_eq!(counted(&admin), 160);

    // The server is away; the shipper waits, and goes on by itself.
    let mut shipper = edge.start();
    server.kill();
    edge.log(160..200);
    server.restart();
    let admin = server.client();
    until("all was counted", LONG, || (counted(&admin) == 200).then_some(()));
    shipper.kill().expect("kills");
    shipper.wait().expect("ends");
    assert!(edge.once().status.success());
    assert_eq!(counted(&admin), 200);
}

#[test]
fn while_the_server_is_away_the_lag_grows_with_the_logs() {
    // Nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let edge = Edge::of("ship-away", &address.to_string(), "tim_intake_nobody");
    edge.log(0..1);
    let mut shipper = edge.command().stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
    let mut said = BufReader::new(shipper.stdout.take().expect("it speaks")).lines();
    let mut behind = |wanted: u64| {
        loop {
            let line = said.next().expect("it goes on").expect("it speaks");
            let words: Vec<&str> = line.split(' ').collect();
            let at = words.iter().position(|word| *word == "bytes").expect("it says how far it is behind");
            let bytes: u64 = words[at - 1].parse().expect("a number");
            if line.contains("1 waiting") && line.contains("trouble: the server") && bytes >= wanted {
                return;
            }
        }
    };
    behind(0);
    let before = fs::metadata(edge.path("logs/app.log")).expect("is there").len();
    for round in 1..3 {
        edge.log(round * 10..round * 10 + 10);
        let size = fs::metadata(edge.path("logs/app.log")).expect("is there").len();
        behind(size - before);
    }
    shipper.kill().expect("kills");
    shipper.wait().expect("ends");
}

#[test]
fn two_shippers_do_not_share_a_position_and_bad_settings_say_so() {
    let project: Value = bodies::project("shop", "/srv/shop");
    let (server, admin) = configured("ship-refused", json!({ "monitored_projects": [project] }));
    let (_, key) = keyed(&admin, json!({}));
    let edge = Edge::new("ship-refused-edge", &server, &key);
    let mut first = edge.start();
    until("the first has begun", LONG, || edge.path("state/lock").exists().then_some(()));
    let second = until("the second is refused", LONG, || {
        let done = edge.once();
        (!done.status.success()).then_some(done)
    });
    assert!(String::from_utf8_lossy(&second.stderr).contains("another process ships from here"));
    first.kill().expect("kills");
    first.wait().expect("ends");
    fs::write(edge.path("sources.toml"), "[[sources]]\nproject_id = \"shop\"\n").expect("writes");
    let done = edge.once();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!done.status.success() && said.contains("sources.toml"), "{said}");
    assert!(!said.contains(&key));
}
