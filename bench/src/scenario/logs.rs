//! A log file from its first byte: what reading it into failures costs, beside `grep -cF` over the same file; and what the
//! whole server needs until each failure is counted on its incident, beside rsyslog's `imfile`, which writes the same
//! lines into another file.
//!
//! Everything is counted in processor time as well, because a machine that has other work to do stretches the clock and
//! not the work.

use std::{
    collections::HashMap,
    io::Read as _,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;
use tandem_core::{
    config::{LogFormat, StartPosition},
    source::file::{FileState, SourcePosition},
};
use tandem_inbound::{
    Line,
    parse::{Assembler, FormatSpec, Found, Level},
    tail::{Budget, Limits, Sink, SourceSpec, Tailer, Verdict},
};

use crate::{
    Fault, Plan,
    http::{self, Connection},
    logs,
    process::{Process, scratch},
    table::{Table, median, number},
};

/// Counts what is found and keeps nothing.
struct Count {
    spec: FormatSpec,
    assemblers: HashMap<u64, Assembler>,
    out: Vec<Found>,
    failures: u64,
}

impl Count {
    fn new() -> Self {
        let spec = FormatSpec::new(LogFormat::Auto, Level::Error);
        Self { spec, assemblers: HashMap::new(), out: Vec::new(), failures: 0 }
    }
}

impl Sink for Count {
    fn start(&mut self, file: &FileState) {
        self.assemblers.insert(file.generation, Assembler::new(&self.spec));
    }

    fn line(&mut self, file: &FileState, line: Line<'_>) -> ControlFlow<()> {
        if let Some(assembler) = self.assemblers.get_mut(&file.generation) {
            assembler.push(&line, 0, &mut self.out);
            self.failures += self.out.len() as u64;
            self.out.clear();
        }
        ControlFlow::Continue(())
    }

    fn unfinished(&mut self, _: &FileState, _: Line<'_>) -> Verdict {
        Verdict::Wait
    }

    fn end(&mut self, _: &FileState) {}

    fn held_from(&self, file: &FileState) -> Option<u64> {
        self.assemblers.get(&file.generation).and_then(Assembler::held_from)
    }
}

/// Seconds by the clock and of the processor.
#[derive(Clone, Copy)]
struct Took {
    clock: f64,
    processor: f64,
}

/// Processor seconds of this thread.
fn processor() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}

/// Processor seconds of the children that have ended.
fn children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |n: usize| after.split_whitespace().nth(n).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(13) + ticks(14)) / 100.0
}

/// Tailer and assembler over the whole file.
fn read(root: &Path, name: &str) -> Result<(u64, Took), Fault> {
    let source = SourceSpec {
        root: root.to_path_buf(),
        path: name.to_owned(),
        start: StartPosition::Beginning,
        limits: Limits::default(),
    };
    let (mut tailer, mut position, mut count) = (Tailer::open(source)?, SourcePosition::new(name), Count::new());
    let (clock, before) = (Instant::now(), processor());
    while tailer.read(&mut position, 0, &Budget::bytes(64 << 20), &mut count)?.more {}
    Ok((count.failures, Took { clock: clock.elapsed().as_secs_f64(), processor: processor() - before }))
}

/// The plainest reader there is.
fn grep(path: &Path) -> Result<(u64, Took), Fault> {
    let (clock, before) = (Instant::now(), children());
    let output = Command::new("grep").arg("-cF").arg(logs::MARK).arg(path).env("LC_ALL", "C").output()?;
    let took = Took { clock: clock.elapsed().as_secs_f64(), processor: children() - before };
    Ok((String::from_utf8_lossy(&output.stdout).trim().parse()?, took))
}

pub fn parse(plan: &Plan, table: &mut Table) -> Result<(), Fault> {
    let root = scratch(plan, "logs");
    std::fs::create_dir_all(&root)?;
    let root = root.canonicalize()?;
    let path = root.join("app.log");
    let failures = logs::write(&path, plan.mib << 20)?;
    let size = std::fs::metadata(&path)?.len() as f64;
    let (mut ours, mut ours_clock, mut peer, mut peer_clock) = <(Vec<_>, Vec<_>, Vec<_>, Vec<_>)>::default();
    for _ in 0..plan.repeat {
        let (found, took) = read(&root, "app.log")?;
        if found != failures {
            return Err(format!("found {found} of {failures} failures").into());
        }
        ours.push(size / took.processor / 1e6);
        ours_clock.push(size / took.clock / 1e6);
        let (found, took) = grep(&path)?;
        if found != failures {
            return Err(format!("grep found {found} of {failures} failures").into());
        }
        peer.push(size / took.processor / 1e6);
        peer_clock.push(size / took.clock / 1e6);
    }
    let (ours, peer) = (median(ours), median(peer));
    table.add(
        &format!("log_parse, {} MiB, {failures} failures", plan.mib),
        format!("{} MB/s of one core ({} by the clock)", number(ours), number(median(ours_clock))),
        format!("grep -cF {} ({}), ratio {:.2}", number(peer), number(median(peer_clock)), ours / peer),
        "≥ 300 MB/s",
    );
    std::fs::remove_dir_all(&root)?;
    Ok(())
}

/// How often is looked how far it is.
const LOOK: Duration = Duration::from_millis(20);
/// Nothing here takes longer on any machine.
const LONGEST: Duration = Duration::from_secs(1_800);

/// One run through the whole server: seconds, seconds of its processor, and MiB above idle at most.
async fn through(plan: &Plan, root: &Path, failures: u64) -> Result<(f64, f64, f64), Fault> {
    let size = std::fs::metadata(root.join("app.log"))?.len();
    let server = Process::server(plan, &scratch(plan, "log-tail")).await?;
    let mut connection = Connection::open(server.address).await?;
    let config = |sources: serde_json::Value| {
        let config = json!({ "incident_monitor": { "enabled": true, "repo": "acme/shop", "monitored_projects": [{
            "project_id": "shop", "name": "Shop", "repo": "acme/shop", "workspace_root": root,
            "auto_create_new_issues": false, "log_sources": sources,
        }]}});
        http::send("PATCH", "/config/incident-monitor", &config.to_string())
    };
    connection.json(&config(json!([]))).await?;
    let status = http::get("/incident-monitor/status");
    connection.json(&status).await?;
    let idle = server.resident_mib()?;
    let mut most = idle;
    let source = json!([{ "source_id": "app", "path": "app.log", "start_position": "beginning" }]);
    let (begun, before) = (Instant::now(), server.cpu_seconds()?);
    connection.json(&config(source)).await?;
    loop {
        let shown = connection.json(&status).await?;
        most = most.max(server.resident_mib()?);
        let row = &shown["status"]["log_watcher"]["sources"][0];
        if row["offset"] == size && row["total_submitted"] == failures {
            break;
        }
        if begun.elapsed() > LONGEST {
            return Err(format!("not read to its end: {row}").into());
        }
        tokio::time::sleep(LOOK).await;
    }
    let took = (begun.elapsed().as_secs_f64(), server.cpu_seconds()? - before, most - idle);
    server.stop()?;
    Ok(took)
}

/// A process that is ended whatever happens.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The same lines through rsyslog into a file, in seconds. `None` where it is not installed.
fn imfile(plan: &Plan, path: &Path, failures: u64) -> Result<Option<f64>, Fault> {
    let directory = scratch(plan, "imfile");
    std::fs::create_dir_all(&directory)?;
    let directory = directory.canonicalize()?;
    let (out, config) = (directory.join("out.log"), directory.join("rsyslog.conf"));
    let words = format!(
        "global(workDirectory=\"{}\")\nmodule(load=\"imfile\")\n\
         template(name=\"raw\" type=\"string\" string=\"%msg%\\n\")\n\
         input(type=\"imfile\" File=\"{}\" Tag=\"bench\")\n\
         if $msg contains '{}' then action(type=\"omfile\" file=\"{}\" template=\"raw\")\n",
        directory.display(),
        path.display(),
        logs::MARK,
        out.display(),
    );
    std::fs::write(&config, words)?;
    let program = ["/usr/sbin/rsyslogd", "/usr/bin/rsyslogd"].iter().map(PathBuf::from).find(|path| path.exists());
    let Some(program) = program else { return Ok(None) };
    let mut command = Command::new(program);
    command.arg("-n").arg("-f").arg(&config).arg("-i").arg(directory.join("pid"));
    let begun = Instant::now();
    let mut process = Ended(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    let (mut seen, mut file, mut buffer) = (0, None, vec![0; 1 << 20]);
    while seen < failures {
        if let Some(status) = process.0.try_wait()? {
            return Err(format!("rsyslogd ended: {status}").into());
        }
        if begun.elapsed() > LONGEST {
            return Err(format!("rsyslogd wrote {seen} of {failures} lines").into());
        }
        let Some(file) = file.as_mut() else {
            file = std::fs::File::open(&out).ok();
            std::thread::sleep(LOOK);
            continue;
        };
        let read = file.read(&mut buffer)?;
        seen += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
        if read == 0 {
            std::thread::sleep(LOOK);
        }
    }
    Ok(Some(begun.elapsed().as_secs_f64()))
}

pub async fn tail(plan: &Plan, table: &mut Table) -> Result<(), Fault> {
    let root = scratch(plan, "log-tail-root");
    std::fs::create_dir_all(&root)?;
    let root = root.canonicalize()?;
    let path = root.join("app.log");
    let failures = logs::write(&path, plan.mib << 20)?;
    let size = std::fs::metadata(&path)?.len() as f64 / 1e6;
    let (mut rates, mut processor, mut memory, mut peers) = <(Vec<_>, Vec<_>, Vec<_>, Vec<_>)>::default();
    for _ in 0..plan.repeat {
        let (took, used, above) = through(plan, &root, failures).await?;
        rates.push(size / took);
        processor.push(size / used);
        memory.push(above);
        peers.extend(imfile(plan, &path, failures)?.map(|took| size / took));
    }
    let (rate, memory) = (median(rates), median(memory));
    let peer = if peers.is_empty() {
        "rsyslog is not installed".to_owned()
    } else {
        let peer = median(peers);
        format!("rsyslog imfile {} MB/s, ratio {:.1}", number(peer), rate / peer)
    };
    table.add(
        &format!("log_tail, {} MiB, {failures} failures into {} incidents", plan.mib, logs::FAULTS),
        format!("{} MB/s by the clock, {} a processor second", number(rate), number(median(processor))),
        peer,
        "",
    );
    let above = format!("{} MiB above idle at most", number(memory));
    table.add("log_tail: memory", above, String::new(), "< 64 MiB");
    std::fs::remove_dir_all(&root)?;
    Ok(())
}
