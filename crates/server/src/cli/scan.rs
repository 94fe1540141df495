//! `tandem scan`: which agents and MCP servers the configuration files of a directory name.
//!
//! Files are read and nothing else: no command of theirs is run, no address of theirs is asked, no link is followed. The
//! judgement of a file is `posture::scan`'s. What is found is printed, and with `--register` declared to a server, where it
//! goes stale unless the scan is repeated.
//!
//! Exit code: 0 all was read (and declared); 1 some file could not be understood or some declaration was refused, and the
//! rest was done; 2 nothing could be done.

mod walk;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tandem_core::{ports::Secret, text::non_blank};
use tandem_outbound::registry::{Declared, Registry};
use tandem_posture::{
    declared::read::Said,
    scan::{Outcome, Scan},
};

use super::{Fault, complain, say};
use crate::boot::outbound::egress;

/// The exit code when there is nothing to tell.
const NOTHING: u8 = 2;
const IN_FLIGHT: usize = 4;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory to look through.
    path: PathBuf,
    /// What the directory is called in ids [default: its own name].
    #[arg(long)]
    name: Option<String>,
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
    /// Declare what was found to a server.
    #[arg(long, requires = "server", requires = "token_file")]
    register: bool,
    /// The server, as in https://tandem.example:39731
    #[arg(long, env = "TANDEM_SCAN_SERVER")]
    server: Option<String>,
    /// File that holds a full token of the server.
    #[arg(long, env = "TANDEM_SCAN_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// What is declared goes stale when it is not declared again for this many hours.
    #[arg(long, default_value_t = 168, value_parser = clap::value_parser!(u64).range(1..=8_760))]
    stale_after_hours: u64,
}

pub fn run(args: Args) -> Result<ExitCode, Fault> {
    // Said before the walk, so that a wrong setting costs no time.
    let registry = match args.register {
        true => Some(registry(&args)),
        false => None,
    };
    let registry = match registry.transpose() {
        Ok(registry) => registry,
        Err(why) => return Ok(nothing(&why)),
    };
    let (outcome, notes) = match look(&args.path, args.name.as_deref()) {
        Ok(found) => found,
        Err(why) => return Ok(nothing(&why)),
    };
    let told = match &registry {
        Some(registry) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let stale_after_ms = args.stale_after_hours * 3_600_000;
            Some(runtime.block_on(declare(registry, &outcome.declared, stale_after_ms)))
        }
        None => None,
    };
    if args.json {
        say(&serde_json::to_string_pretty(&as_json(&outcome, &notes, told.as_deref()))?);
    } else {
        table(&outcome, told.as_deref()).iter().for_each(|line| say(line));
        notes.iter().for_each(|note| say(note));
    }
    outcome.trouble.iter().for_each(|trouble| complain(&printable(&format!("{}: {}", trouble.path, trouble.why))));
    let unreached = told.iter().flatten().filter(|told| matches!(told, Declared::Unreached { .. })).count();
    let refused = told.iter().flatten().filter(|told| matches!(told, Declared::Refused { .. })).count();
    for (said, told) in outcome.declared.iter().zip(told.iter().flatten()) {
        if let Declared::Refused { why, .. } | Declared::Unreached { why } = told {
            complain(&format!("{} {} was not declared: {why}", said.kind, said.object_id));
        }
    }
    let all_failed = !outcome.declared.is_empty() && unreached == outcome.declared.len();
    Ok(match (all_failed, outcome.trouble.is_empty() && unreached + refused == 0) {
        (true, _) => ExitCode::from(NOTHING),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}

fn nothing(why: &str) -> ExitCode {
    complain(why);
    ExitCode::from(NOTHING)
}

/// Walks and reads; the second list says what was left out on the way.
fn look(root: &Path, name: Option<&str>) -> Result<(Outcome, Vec<String>), String> {
    let shown = root.display();
    let whole = root.canonicalize().map_err(|error| format!("{shown}: {error}"))?;
    if !whole.is_dir() {
        return Err(format!("{shown} is no directory"));
    }
    let own = whole.file_name().map_or_else(|| "root".into(), |name| name.to_string_lossy().into_owned());
    let mut scan = Scan::new(non_blank(name).unwrap_or(&own));
    let notes = walk::walk(&whole, &mut scan);
    Ok((scan.finish(), notes))
}

fn registry(args: &Args) -> Result<Registry, String> {
    let (Some(server), Some(file)) = (&args.server, &args.token_file) else {
        return Err("--register needs --server and --token-file".into());
    };
    let token = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let token = non_blank(Some(&token)).ok_or_else(|| format!("{} is empty", file.display()))?;
    Registry::new(egress(), server, Secret::new(token))
        .map_err(|failure| format!("--server: {}", failure.code.meaning()))
}

/// One answer for each, in their order. A server that does not answer at all is not asked for the rest.
async fn declare(registry: &Registry, declared: &[Said], stale_after_ms: u64) -> Vec<Declared> {
    let calls: Vec<_> = declared
        .iter()
        .map(|said| {
            let path = format!("authority/{}/{}", said.kind.segment(), said.object_id);
            let mut body = json!(said.spec);
            body["origin"] = json!(said.origin);
            body["stale_after_ms"] = stale_after_ms.into();
            (path, body.to_string().into_bytes())
        })
        .collect();
    let mut calls = calls.into_iter();
    let mut told = Vec::with_capacity(declared.len());
    if let Some((path, body)) = calls.next() {
        told.push(registry.put(&path, body).await);
    }
    if let Some(Declared::Unreached { why }) = told.first() {
        let why = why.clone();
        told.extend(calls.map(|_| Declared::Unreached { why: why.clone() }));
        return told;
    }
    let rest: Vec<_> = calls.map(|(path, body)| async move { registry.put(&path, body).await }).collect();
    told.extend(stream::iter(rest).buffered(IN_FLIGHT).collect::<Vec<_>>().await);
    told
}

fn word(told: &Declared) -> &'static str {
    match told {
        Declared::Created => "declared",
        Declared::Changed => "changed",
        Declared::Unchanged => "unchanged",
        Declared::Refused { .. } => "refused",
        Declared::Unreached { .. } => "unreached",
    }
}

fn as_json(outcome: &Outcome, notes: &[String], told: Option<&[Declared]>) -> Value {
    let row = |(at, said): (usize, &Said)| {
        let mut row = json!(said.spec);
        row["kind"] = json!(said.kind);
        row["id"] = said.object_id.clone().into();
        row["origin"] = json!(said.origin);
        if let Some(told) = told.and_then(|told| told.get(at)) {
            row["registration"] = word(told).into();
        }
        row
    };
    let trouble = |trouble: &tandem_posture::scan::Trouble| json!({ "path": trouble.path, "why": trouble.why });
    json!({
        "declared": outcome.declared.iter().enumerate().map(row).collect::<Vec<_>>(),
        "files_read": outcome.files,
        "trouble": outcome.trouble.iter().map(trouble).collect::<Vec<_>>(),
        "notes": notes,
    })
}

fn table(outcome: &Outcome, told: Option<&[Declared]>) -> Vec<String> {
    let mut lines = Vec::new();
    let width = outcome.declared.iter().map(|said| said.object_id.len()).max().unwrap_or(0).clamp(2, 60);
    for (at, said) in outcome.declared.iter().enumerate() {
        let told = told.and_then(|told| told.get(at)).map_or(String::new(), |told| format!("{:<10} ", word(told)));
        let line = format!("{told}{:<12} {:<width$}  {}", said.kind.word(), said.object_id, summary(said));
        lines.push(line.trim_end().to_owned());
        for server in &said.spec.servers {
            let target = server.target.as_deref().unwrap_or("?");
            let keys = match server.secret_keys.as_slice() {
                [] => String::new(),
                keys => format!("  given: {}", keys.join(", ")),
            };
            lines.push(format!("{:<13}- {} ({} {target}){keys}", "", printable(&server.name), server.transport));
        }
    }
    lines.push(format!(
        "{} declared things in {} files{}",
        outcome.declared.len(),
        outcome.files,
        match outcome.trouble.len() {
            0 => String::new(),
            count => format!(", {count} could not be understood"),
        }
    ));
    lines
}

fn summary(said: &Said) -> String {
    let spec = &said.spec;
    let mut parts = Vec::new();
    let mut count = |number: usize, what: &str| {
        if number > 0 {
            parts.push(format!("{number} {what}{}", if number == 1 { "" } else { "s" }));
        }
    };
    count(spec.servers.len(), "server");
    count(spec.steps.len(), "step");
    count(spec.hooks.iter().map(|hook| hook.actions.len()).sum(), "action");
    count(spec.tool_denylist.len(), "denied tool");
    if let Some(tools) = &spec.tool_allowlist {
        parts.push(format!("tools: {}", if tools.is_empty() { "none".into() } else { tools.join(", ") }));
    }
    if let Some(policy) = &spec.approval_policy {
        parts.push(format!("approval: {policy}"));
    }
    printable(&tandem_core::text::truncate(&parts.join("; "), 120))
}

/// A file may come from anyone, so nothing in it may steer the reader's terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
