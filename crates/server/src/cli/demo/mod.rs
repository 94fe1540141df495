//! `tandem demo`: the whole way of a failure, on a temporary state directory and a free port.
//!
//! A real server runs as a child process; everything is asked for over HTTP, as a user would, and everything that is
//! shown is also checked: the command ends with 0 only when every expectation was met. One file of `steps` is one part
//! of the way, one screen is one thing to see.
//!
//! Deliberately absent: pauses, and anything that would work only here. `--keep` leaves the server for a closer look.

mod client;
mod home;
mod output;
mod receiver;
mod samples;
mod server;
mod steps;

use std::{process::ExitCode, time::Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tandem_core::ports::{Clock, Ids};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    client::Client,
    home::Home,
    output::{Output, Tone},
    receiver::Receiver,
    server::Server,
    steps::Case,
};
use super::Fault;
use crate::boot::system::{SystemClock, SystemIds};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leave the server running at the end and print how to reach it.
    #[arg(long)]
    pub keep: bool,
}

/// What the steps share.
struct Demo {
    out: Output,
    home: Home,
    client: Client,
    receiver: Receiver,
    /// What the server signs webhooks with, and the receiver checks them with.
    secret: String,
    intake_key: String,
    /// The log's public key as it was before anything happened.
    audit_key: String,
    /// One for each sample, in their order.
    cases: Vec<Case>,
}

impl Demo {
    fn now_ms(&self) -> u64 {
        SystemClock.now_ms()
    }
}

pub fn run(args: Args) -> Result<ExitCode, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // Whichever way the demo ends, what it holds is dropped: the server ends and its directory goes.
        tokio::select! {
            done = tell(args.keep) => done,
            _ = terminate.recv() => Err(Fault("interrupted; the demo's server was stopped".into())),
            _ = interrupt.recv() => Err(Fault("interrupted; the demo's server was stopped".into())),
        }
    })
}

async fn tell(keep: bool) -> Result<ExitCode, Fault> {
    let began = Instant::now();
    let out = Output::new();
    let home = Home::create()?;
    let receiver = Receiver::start().await?;
    let secret = format!("whsec_{}", STANDARD.encode(SystemIds.secret()));
    out.screen(
        "A server of its own",
        "`tandem serve` as a child process, with an empty state directory and a free port.",
    );
    let (server, client) = Server::start(&home.path, &secret).await?;
    let mut demo = Demo {
        out,
        home,
        client,
        receiver,
        secret,
        intake_key: String::new(),
        audit_key: String::new(),
        cases: Vec::new(),
    };
    // Dropped before the directory that it writes to, should the demo be interrupted.
    let server = server;
    if let Err(fault) = walk(&mut demo, &server).await {
        demo.out.line(&demo.out.paint(Tone::Bad, "The demo ends here. The server's last words:"));
        demo.home.last_words().iter().for_each(|line| demo.out.quote(line));
        return Err(fault);
    }
    finish(demo, server, keep, began).await
}

async fn walk(demo: &mut Demo, server: &Server) -> Result<(), Fault> {
    steps::setup::arrived(demo, server).await?;
    steps::setup::configure(demo).await?;
    steps::intake::report(demo).await?;
    steps::intake::incidents(demo).await?;
    steps::logs::tail(demo).await?;
    steps::evidence::draft(demo).await?;
    steps::evidence::triage(demo).await?;
    steps::approval::preview(demo).await?;
    steps::approval::refusal(demo).await?;
    steps::approval::denial(demo).await?;
    steps::delivery::approve(demo).await?;
    steps::delivery::receipts(demo).await?;
    steps::runs::work(demo).await?;
    steps::ledger::export(demo).await?;
    steps::ledger::forgery(demo)
}

async fn finish(demo: Demo, server: Server, keep: bool, began: Instant) -> Result<ExitCode, Fault> {
    let Demo { out, home, .. } = demo;
    if keep {
        out.screen(
            "The server stays",
            "The receiver ends with the demo, so webhook deliveries will be retried from now on.",
        );
        out.fact("address", &format!("http://{}", server.address));
        out.fact("API", &format!("http://{}/openapi.json", server.address));
        out.fact("token file", &server.token_file.display().to_string());
        out.fact("state", &server.state_dir.display().to_string());
        out.fact("audit log", &home.bundle().display().to_string());
        let ask = format!("curl -H \"Authorization: Bearer $(cat {})\"", server.token_file.display());
        out.fact("look", &format!("{ask} http://{}/incident-monitor/incidents", server.address));
        out.fact("stop", &format!("kill {} && rm -r {}", server.pid, home.path.display()));
        server.leave();
        home.keep();
    } else {
        out.screen("The end", "SIGTERM, as from an init system; then the temporary directory goes.");
        let status = server.stop().await?;
        out.expect(status.success(), &format!("the server ended in order ({status})"));
    }
    let (met, broken) = out.tally();
    let took = format!("{:.1} s", began.elapsed().as_secs_f64());
    out.line("");
    if broken == 0 {
        out.line(&out.paint(Tone::Good, &format!("All {met} expectations were met in {took}.")));
        Ok(ExitCode::SUCCESS)
    } else {
        out.line(&out.paint(Tone::Bad, &format!("{broken} of {} expectations were not met ({took}).", met + broken)));
        Ok(ExitCode::FAILURE)
    }
}
