//! From a started process to a ready server, and back out of it.
//!
//! The listener comes first: from then on every request gets an answer, 503 until the store is open. What cannot work
//! (a taken port, a held directory, a newer schema) ends the process with the reason; it never starts empty.

#[cfg(test)]
mod gate;
mod listen;
pub mod logs;
pub mod outbound;
mod packs;
mod refusal;
pub mod settings;
pub mod state_dir;
pub mod store;
pub mod system;
#[cfg(test)]
mod tail_tests;
pub mod token;
mod witness;
mod workers;

use std::{io::ErrorKind, net::SocketAddr, sync::Arc, time::Duration};

use tandem_app::{App, Ports};
use tandem_core::{config, governance::Base};
use tandem_outbound::{secrets::EnvSecrets, workspace::LocalWorkspace};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use self::{
    outbound::Drivers,
    settings::Settings,
    state_dir::StateDir,
    system::{SystemClock, SystemIds},
    workers::Workers,
};
use crate::{
    cli::{Fault, say},
    extract::auth::Auth,
    http::{
        self,
        gate::{Facts, Gate},
        state::AppState,
    },
    telemetry::metrics::Metrics,
};

/// A server whose listener answers.
pub struct Server {
    pub gate: Arc<Gate>,
    listening: listen::Listening,
    workers: Workers,
    // Held for as long as the server lives.
    _state_dir: StateDir,
}

impl Server {
    /// Binds, answers, opens the store, and returns when the server is ready.
    pub async fn start(settings: &Settings, say: &(dyn Fn(&str) + Sync)) -> Result<Self, Fault> {
        let listener = bind(settings).await?;
        let address = listener.local_addr()?;
        let loopback = address.ip().is_loopback();
        if settings.unsafe_no_api_token && !loopback {
            return Err(Fault(format!(
                "--unsafe-no-api-token is for loopback only, and {address} is reachable from elsewhere"
            )));
        }
        let state_dir = StateDir::open(&settings.state_dir)?;
        let token = token::load(settings, &state_dir.path, &SystemIds)?;
        let facts = Facts {
            metrics_public: settings.metrics_public,
            rate_limit_per_min: settings.rate_limit_per_min,
            cors_origins: settings.cors_origins.clone(),
            mcp_hosts: mcp_hosts(settings),
        };
        let auth = Auth::new(token.secret(), loopback, settings.cors_origins.clone());
        let gate = Arc::new(Gate::new(Arc::new(SystemClock), Arc::new(SystemIds), auth, Metrics::default(), facts));
        let listening = listen::start(listener, http::Front::new(Arc::clone(&gate)), gate.stopping());
        say(&format!("tandem {} listening on http://{address}", env!("CARGO_PKG_VERSION")));
        say(&token.notice());
        let opened = store::open(&settings.backend, &state_dir.path).await?;
        gate.auth.attach(Arc::clone(&opened.store));
        let egress = outbound::egress();
        let commands = settings.mcp_commands.clone().unwrap_or_else(|| state_dir.path.join("mcp-commands.json"));
        let exports = settings.export_dir.clone().unwrap_or_else(|| state_dir.path.join("exports"));
        let app = App::new(
            Ports {
                store: Arc::clone(&opened.store),
                clock: Arc::new(SystemClock),
                ids: Arc::new(SystemIds),
                secrets: Arc::new(EnvSecrets),
                outbound: Arc::new(Drivers::new(Arc::clone(&egress), &state_dir.path, exports, Arc::new(SystemClock))),
                mcp: Arc::new(outbound::mcp(
                    egress,
                    commands,
                    state_dir.path.join("mcp-grants.json"),
                    Arc::new(SystemClock),
                )),
                workspace: Arc::new(LocalWorkspace::default()),
                logs: Arc::new(logs::Logs::new()),
                background: system::step_back,
                audit_seed: None,
            },
            config::initial_from_env(|name| std::env::var(name).ok()),
        );
        let (base, ignored) = Base::from_env(|name| std::env::var(name).ok());
        for name in ignored {
            tracing::warn!(name, "the value cannot be read; the default is in force");
        }
        app.govern_with(base);
        app.witness_with(settings.witnesses.clone());
        // Started over rows that nobody can read, it would refuse one request after the other, or worse, forget a rule.
        app.governance_check().await.map_err(|error| Fault(format!("governance cannot be enforced: {error}")))?;
        if let Some(dir) = &settings.scenario_packs_dir {
            app.load_packs(packs::read(dir)?);
        }
        let workers = Workers::start(&app, &opened.wakes, &gate.stopping(), settings.witness_interval);
        gate.open(http::handlers(AppState::new(app, opened.store, Arc::clone(&gate))));
        tracing::info!(%address, "ready");
        Ok(Self { gate, listening, workers, _state_dir: state_dir })
    }

    /// Stops accepting and waits, within the deadline, for what is in flight.
    pub async fn stop(self) {
        // Ten seconds is the promise; what the workers leave undone has a lease and a row.
        let deadline = tokio::time::Instant::now() + Duration::from_secs(9);
        self.gate.stop();
        self.listening.finish().await;
        self.workers.finish(deadline).await;
        tracing::info!("stopped");
    }
}

/// `tandem serve`.
pub async fn serve(settings: Settings) -> Result<(), Fault> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let asked = async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    tokio::pin!(asked);
    let server = tokio::select! {
        server = Server::start(&settings, &say) => server?,
        // A long migration must not hold the process: an interrupted one is repeated by the next start.
        _ = &mut asked => return Ok(()),
    };
    let signal = asked.await;
    tracing::info!(signal, "stopping");
    server.stop().await;
    Ok(())
}

/// The names of this machine, the name that it listens on, and those that the operator added. A page in a browser that
/// was led here under another name is refused.
fn mcp_hosts(settings: &Settings) -> Vec<String> {
    let own = settings.hostname.trim_start_matches('[').trim_end_matches(']').to_owned();
    let known = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    known.into_iter().chain([own]).chain(settings.mcp_hosts.clone()).filter(|host| !host.is_empty()).collect()
}

async fn bind(settings: &Settings) -> Result<TcpListener, Fault> {
    let (host, port) = (settings.hostname.trim_start_matches('[').trim_end_matches(']'), settings.port);
    let mut addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| Fault(format!("cannot resolve --hostname {host}: {error}")))?
        .collect();
    // `localhost` may name both families; clients try 127.0.0.1 first.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    TcpListener::bind(addresses.as_slice()).await.map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::AddrInUse => "; stop what listens there, or pass another --port",
            ErrorKind::PermissionDenied => "; ports below 1024 are for privileged users, pass another --port",
            _ => "",
        };
        Fault(format!("cannot listen on {host}:{port}: {error}{hint}"))
    })
}
