//! Measures the release build of the server as its clients see it, each figure beside its peer from the same run.
//!
//! Started by `cargo xtask bench`. The server and the floor run as processes of their own; the load generator is one
//! thread of this one, because it shares the machine with what it measures. Deliberately absent: targets that fail the
//! run. A machine that is busy or slow gives other figures, and the table says which machine it was.

mod floor;
mod http;
mod load;
mod logs;
mod machine;
mod prefill;
mod process;
mod receiver;
mod reports;
mod scenario;
mod table;
mod tracker;

use std::{path::PathBuf, process::ExitCode};

use table::Table;

pub type Fault = Box<dyn std::error::Error + Send + Sync>;

const HELP: &str = "\
cargo xtask bench [NAME…] [--repeat N] [--seconds N] [--rows N] [--incidents N]

NAME       any of: reports_distinct reports_same idle_latency webhooks trackers audit_append audit_verify size scale
           log_parse log_tail run_reports governed assess
           (all of them without a name)
--repeat   measurements of each figure; the median is shown (3)
--seconds  length of one measurement (4)
--mib      length of the log file that is read (512)
--incidents  stored incidents in the estate of 10 000 that `assess` measures, over the two weeks before now (0)
--rows     what `scale` and the audit scenarios grow to (1000000)";

/// What a run was asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    pub names: Vec<String>,
    pub repeat: usize,
    pub seconds: u64,
    pub rows: u64,
    /// Incidents that are stored when an estate is assessed.
    pub incidents: u64,
    /// Length of a log file in MiB.
    pub mib: u64,
    /// Where state directories are made; they are removed afterwards.
    pub scratch: PathBuf,
    /// The server's binary.
    pub server: PathBuf,
}

fn plan(args: &[String]) -> Result<Option<Plan>, Fault> {
    let here = std::env::current_exe()?;
    let target = here.parent().ok_or("this program is nowhere")?.to_path_buf();
    let mut plan = Plan {
        names: Vec::new(),
        repeat: 3,
        seconds: 4,
        rows: 1_000_000,
        incidents: 0,
        mib: 512,
        scratch: target.join(format!("bench-state-{}", std::process::id())),
        server: target.join("tandem"),
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|n| n.parse::<u64>().ok()).ok_or(format!("{arg} wants a number"));
        match arg.as_str() {
            "--repeat" => plan.repeat = number()?.max(1) as usize,
            "--seconds" => plan.seconds = number()?.max(1),
            "--mib" => plan.mib = number()?.max(1),
            "--incidents" => plan.incidents = number()?,
            "--rows" => plan.rows = number()?.max(2_000),
            "--help" | "-h" | "help" => return Ok(None),
            name if scenario::NAMES.contains(&name) => plan.names.push(name.to_owned()),
            other => return Err(format!("unknown argument {other}\n\n{HELP}").into()),
        }
    }
    if plan.names.is_empty() {
        plan.names = scenario::NAMES.iter().map(|name| (*name).to_owned()).collect();
    }
    Ok(Some(plan))
}

fn run() -> Result<(), Fault> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [word, database] = args.as_slice()
        && word == "floor"
    {
        return floor::serve(database);
    }
    let Some(plan) = plan(&args)? else {
        println!("{HELP}");
        return Ok(());
    };
    if !plan.server.exists() {
        return Err(format!("{} is missing: run `cargo xtask bench`, which builds it", plan.server.display()).into());
    }
    println!("{}", machine::facts());
    std::fs::create_dir_all(&plan.scratch)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut table = Table::default();
    let done = plan.names.iter().try_for_each(|name| {
        println!("… {name}");
        runtime.block_on(scenario::run(name, &plan, &mut table))
    });
    std::fs::remove_dir_all(&plan.scratch)?;
    println!("\n{table}");
    done
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}
