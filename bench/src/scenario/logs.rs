//! A log file from its first byte: what reading it into failures costs, beside `grep -cF` over the same file.
//!
//! Everything is counted in processor time as well, because a machine that has other work to do stretches the clock and
//! not the work.

use std::{collections::HashMap, ops::ControlFlow, path::Path, process::Command, time::Instant};

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
    Fault, Plan, logs,
    process::scratch,
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
