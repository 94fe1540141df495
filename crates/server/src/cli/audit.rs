//! `tandem audit`: checks an exported audit bundle without any server, and tells which key it names.
//!
//! The judgement is `core::audit::verify`'s; decided here is how a bundle is read (line by line, from a file or from
//! standard input), how the verdict is told, and the exit code: 0 verified, 1 tampered, 2 nothing could be checked.
//!
//! Deliberately absent: any default key. Without `--key` the bundle's own key is used and the verdict says that it was.

pub mod verdict;

use std::{
    cell::RefCell,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde::Serialize;
use tandem_core::audit::{
    bundle::{TRAILER_TYPE, Trailer},
    checkpoint::Checkpoint,
    cosignatures::{self, Cosignature, Shown},
    evidence::{Evidence, EvidenceReport},
    note::{NoteError, VerifierKey},
    verify::{Report, Verifier, read_bundle},
    witness::WitnessKey,
};

use super::{Fault, complain, say};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check a bundle that `GET /audit/ledger/export` or `GET /audit/evidence/export` produced, or a scheduled export. Exits with 0 when it is as it was signed, with 1 when
    /// it was tampered with, with 2 when it could not be checked.
    Verify {
        /// The bundle, or `-` for standard input.
        bundle: PathBuf,
        /// The public key to trust: `<name>+<id>+<base64>`, or a file that holds one. Get it from somewhere else than
        /// the bundle, for example from `GET /audit/ledger/manifest` on the day of the install.
        #[arg(long, value_name = "VKEY")]
        key: Option<String>,
        /// The public key of a witness, or a file that holds one; may be given several times. One of them must have
        /// signed a checkpoint of this log. Without any, cosignatures are reported as of unknown witnesses.
        #[arg(long, value_name = "WITNESS_KEY")]
        witness: Vec<String>,
        /// Print the verdict as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the public key that a bundle names, as `--key` takes it. Compare it with the server's before trusting it.
    Key {
        /// The bundle, or `-` for standard input.
        bundle: PathBuf,
    },
}

/// The exit code of a bundle or key that cannot be read.
const UNREADABLE: u8 = 2;

pub fn run(args: Args) -> Result<ExitCode, Fault> {
    let done = match args.command {
        Command::Verify { bundle, key, witness, json } => verify(&bundle, key.as_deref(), &witness, json),
        Command::Key { bundle } => key_of(&bundle),
    };
    Ok(done.unwrap_or_else(|why| {
        complain(&why);
        ExitCode::from(UNREADABLE)
    }))
}

fn verify(bundle: &Path, key: Option<&str>, witnesses: &[String], json: bool) -> Result<ExitCode, String> {
    let key = key.map(|given| given_key("--key", given, VerifierKey::parse)).transpose()?;
    let witnesses = witnesses.iter().map(|given| given_key("--witness", given, WitnessKey::parse));
    let witnesses = witnesses.collect::<Result<Vec<_>, _>>()?;
    let verdict = check(&mut open(bundle)?, key.as_ref(), &witnesses)
        .map_err(|error| format!("cannot read the bundle {}: {error}", bundle.display()))?;
    if json {
        say(&serde_json::to_string_pretty(&verdict).map_err(|error| error.to_string())?);
    } else {
        verdict::lines(&verdict.report).iter().for_each(|line| say(line));
        verdict.evidence.iter().flat_map(verdict::documents).for_each(|line| say(&line));
        verdict::cosignatures(&verdict.cosignatures).iter().for_each(|line| say(line));
    }
    Ok(ExitCode::from(u8::from(!verdict.holds())))
}

/// What there is to say of a bundle.
#[derive(Debug, Serialize)]
pub struct Verdict {
    #[serde(flatten)]
    pub report: Report,
    /// Of the documents before the log, where the bundle is one of evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceReport>,
    /// What witnesses signed of the log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cosignatures: Vec<Cosignature>,
    /// Whether nothing is wrong with those, and one is by a witness whose key was given, if any was.
    pub witnessed: bool,
}

impl Verdict {
    pub fn holds(&self) -> bool {
        let documents = self.evidence.as_ref().is_none_or(|evidence| evidence.verified);
        verdict::holds(&self.report) && documents && self.witnessed
    }
}

/// Reads a bundle to its end and judges it, on every core.
pub fn check(bundle: &mut dyn BufRead, key: Option<&VerifierKey>, witnesses: &[WitnessKey]) -> io::Result<Verdict> {
    let mut first = next_line(bundle)?;
    let mut evidence = None;
    if first.as_deref().is_some_and(Evidence::begins) {
        let mut documents = Evidence::default();
        while first.as_deref().is_some_and(|line| documents.take(line)) {
            first = next_line(bundle)?;
        }
        evidence = Some(documents);
    }
    let (failed, trailer) = (RefCell::new(None), RefCell::new(None));
    let rest = std::iter::from_fn(|| match next_line(bundle) {
        Ok(line) => line,
        Err(error) => {
            *failed.borrow_mut() = Some(error);
            None
        }
    });
    let lines = first.into_iter().chain(rest).inspect(|line| {
        if line.starts_with(br#"{"type":"#) {
            *trailer.borrow_mut() = serde_json::from_slice::<Trailer>(line).ok();
        }
    });
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut notes = evidence.as_ref().map(Evidence::cosigned).unwrap_or_default();
    let mut verifier = Verifier::wanting(cosignatures::sizes(&notes));
    read_bundle(&mut verifier, lines, threads);
    let report = verifier.finish(key.map(ToString::to_string).as_deref());
    // A verdict on half a bundle would read as "truncated", which is not what happened.
    if let Some(error) = failed.into_inner() {
        return Err(error);
    }
    let trailer: Option<Trailer> = trailer.into_inner();
    let own = trailer.as_ref().and_then(|trailer| VerifierKey::parse(trailer.public_key.trim()).ok());
    let key = key.cloned().or(own);
    let note = trailer.map(|trailer| trailer.checkpoint);
    let signed = note.as_ref().zip(key.as_ref());
    let signed = signed.and_then(|(note, key)| Checkpoint::open(note, std::slice::from_ref(key)).ok());
    let evidence = evidence.map(|documents| documents.finish(key.as_ref(), signed.as_ref()));
    // Where nothing vouches for the log, there is nothing that a witness could have seen of it.
    notes.extend(note);
    let shown = key.as_ref().zip(signed.as_ref());
    let shown = shown.map(|(key, signed)| Shown { key, signed, roots: verifier.roots() });
    let cosignatures = shown.map(|shown| cosignatures::judge(&notes, witnesses, &shown)).unwrap_or_default();
    let witnessed = cosignatures::hold(&cosignatures, witnesses);
    Ok(Verdict { report, evidence, cosignatures, witnessed })
}

fn next_line(bundle: &mut dyn BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    Ok(if bundle.read_until(b'\n', &mut line)? == 0 { None } else { Some(line) })
}

fn key_of(bundle: &Path) -> Result<ExitCode, String> {
    let shown = bundle.display();
    let mut last = Vec::new();
    let mut input = open(bundle)?;
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line).map_err(|error| format!("cannot read the bundle {shown}: {error}"))? > 0 {
        if !line.trim_ascii().is_empty() {
            std::mem::swap(&mut last, &mut line);
        }
        line.clear();
    }
    let trailer = serde_json::from_slice::<Trailer>(&last).ok().filter(|trailer| trailer.kind == TRAILER_TYPE);
    let trailer = trailer.ok_or_else(|| format!("{shown} does not end with a bundle's manifest line"))?;
    let key = VerifierKey::parse(trailer.public_key.trim()).map_err(|why| format!("{shown}: {why}"))?;
    Checkpoint::open(&trailer.checkpoint, std::slice::from_ref(&key))
        .map_err(|why| format!("{shown}: its key does not open its checkpoint: {why}"))?;
    say(&key.to_string());
    Ok(ExitCode::SUCCESS)
}

fn open(bundle: &Path) -> Result<Box<dyn BufRead>, String> {
    if bundle == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let shown = bundle.display();
    let file = File::open(bundle).map_err(|error| format!("cannot open the bundle {shown}: {error}"))?;
    if file.metadata().is_ok_and(|meta| meta.is_dir()) {
        return Err(format!("{shown} is a directory, not a bundle"));
    }
    Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
}

/// The key given on the command line, or the one in the file of that name.
fn given_key<K>(option: &str, given: &str, parse: fn(&str) -> Result<K, NoteError>) -> Result<K, String> {
    /// A key has about a hundred bytes.
    const LONGEST: u64 = 64 * 1024;
    if let Ok(key) = parse(given.trim()) {
        return Ok(key);
    }
    let mut text = String::new();
    File::open(given)
        .and_then(|file| file.take(LONGEST).read_to_string(&mut text))
        .map_err(|error| format!("{option} is neither a verifier key nor a readable file: {given}: {error}"))?;
    parse(text.trim()).map_err(|why| format!("the key file {given}: {why}"))
}

#[cfg(test)]
#[path = "audit/tests.rs"]
mod tests;
