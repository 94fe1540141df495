//! `tandem serve`: flags and variables become [`Settings`], then the server boots.

use std::{path::PathBuf, process::ExitCode};

use super::Fault;
use crate::{
    boot::{
        self,
        settings::{Settings, truthy},
    },
    telemetry::log,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Host name or address to listen on.
    #[arg(long, env = "TANDEM_ENGINE_HOST", default_value = "127.0.0.1")]
    pub hostname: String,
    /// Port to listen on; 0 takes a free one and prints it.
    #[arg(long, env = "TANDEM_ENGINE_PORT", default_value_t = 39731)]
    pub port: u16,
    /// Directory of everything that is kept [default: $XDG_DATA_HOME/tandem].
    #[arg(long, env = "TANDEM_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// Keep all state in this PostgreSQL database (postgres://…) instead of the state directory.
    #[arg(long, env = "TANDEM_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// File that holds the full token. TANDEM_API_TOKEN wins over it.
    #[arg(long, env = "TANDEM_API_TOKEN_FILE")]
    pub api_token_file: Option<PathBuf>,
    /// Let every local process in without a token. Refused unless the server listens on loopback only.
    #[arg(long, env = "TANDEM_UNSAFE_NO_API_TOKEN", value_parser = switch)]
    pub unsafe_no_api_token: bool,
    /// File of the commands that MCP servers may be started with [default: mcp-commands.json in the state directory].
    #[arg(long, env = "TANDEM_MCP_COMMANDS")]
    pub mcp_commands: Option<PathBuf>,
    /// Directory of scenario packs (*.json), listed after the built-in ones.
    #[arg(long, env = "TANDEM_SCENARIO_PACKS_DIR")]
    pub scenario_packs_dir: Option<PathBuf>,
    /// Directory that exports of the audit log may be written beneath [default: exports in the state directory].
    #[arg(long, env = "TANDEM_EXPORT_DIR")]
    pub export_dir: Option<PathBuf>,
    /// Witness that signs checkpoints of the audit log, too, as <verifier key>,<address>. May be given several times.
    #[arg(long, env = "TANDEM_WITNESSES", value_delimiter = ';')]
    pub witness: Vec<String>,
    /// How often witnesses are asked.
    #[arg(long, env = "TANDEM_WITNESS_INTERVAL_MS", default_value_t = 60_000, hide = true,
        value_parser = clap::value_parser!(u64).range(100..=86_400_000))]
    pub witness_interval_ms: u64,
    /// How log lines look.
    #[arg(long, env = "TANDEM_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: log::Format,
}

/// A switch that opens something is never thrown by a word that nobody knows.
fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "" | "0" | "false" | "no" | "off" => Ok(false),
        word if truthy(word) => Ok(true),
        _ => Err("must be 1, true, yes or on; or 0, false, no or off".to_owned()),
    }
}

pub fn run(args: Args) -> Result<ExitCode, Fault> {
    let _flush = log::install(args.log_format);
    let settings = Settings::resolve(args, &|name| std::env::var(name).ok())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(boot::serve(settings));
    // Work that ignores its cancellation must not keep the process beyond its deadline.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    done.map(|()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::switch;

    #[test]
    fn only_known_words_throw_a_switch() {
        for on in ["1", "true", "YES", " on "] {
            assert_eq!(switch(on), Ok(true), "{on}");
        }
        for off in ["", "0", "false", "No", "off"] {
            assert_eq!(switch(off), Ok(false), "{off}");
        }
        for unknown in ["maybe", "2", "disable", "-"] {
            assert!(switch(unknown).is_err(), "{unknown}");
        }
    }
}
