//! What the process was started with, resolved once from flags and environment. Everything that can be refused without
//! touching the world is refused here, with the sentence that the operator reads.

use std::{path::PathBuf, time::Duration};

use tandem_app::audit::Witness;
use tandem_core::text::non_blank;

use crate::cli::serve::Args;

/// Where the state lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres { url: String },
}

pub struct Settings {
    pub hostname: String,
    pub port: u16,
    pub state_dir: PathBuf,
    pub backend: Backend,
    /// `TANDEM_API_TOKEN`.
    pub api_token: Option<String>,
    pub api_token_file: Option<PathBuf>,
    pub unsafe_no_api_token: bool,
    /// Requests a minute and tenant; `None` is unlimited.
    pub rate_limit_per_min: Option<u32>,
    /// Origins that browsers may call from; `*` alone means any.
    pub cors_origins: Vec<String>,
    /// The commands that `stdio:` MCP servers stand for; `mcp-commands.json` in the state directory otherwise.
    pub mcp_commands: Option<PathBuf>,
    /// Where the operator keeps scenario packs.
    pub scenario_packs_dir: Option<PathBuf>,
    /// The directory that exports may be written beneath; `exports` in the state directory otherwise.
    pub export_dir: Option<PathBuf>,
    /// Who is asked to sign checkpoints of the audit log, too, and how often.
    pub witnesses: Vec<Witness>,
    pub witness_interval: Duration,
    /// Further names under which the MCP endpoint answers.
    pub mcp_hosts: Vec<String>,
    /// Whether `/metrics` answers without a token.
    pub metrics_public: bool,
}

impl Settings {
    pub fn resolve(args: Args, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let var = |name: &str| env(name).filter(|value| !value.trim().is_empty());
        if let Some(mode) = var("TANDEM_RUNTIME_AUTH_MODE").filter(|mode| mode.trim() != "local_single_tenant") {
            return Err(format!(
                "TANDEM_RUNTIME_AUTH_MODE is `{mode}`, but this server offers only `local_single_tenant`. \
                 Starting anyway would answer without the checks that the other modes promise."
            ));
        }
        Ok(Self {
            hostname: args.hostname.trim().to_owned(),
            port: args.port,
            state_dir: match args.state_dir {
                Some(dir) => dir,
                None => default_state_dir(&var).ok_or("set --state-dir: neither XDG_DATA_HOME nor HOME is set")?,
            },
            backend: backend(args.database_url.as_deref())?,
            api_token: var("TANDEM_API_TOKEN"),
            api_token_file: args.api_token_file,
            unsafe_no_api_token: args.unsafe_no_api_token,
            rate_limit_per_min: match var("TANDEM_TENANT_RATE_LIMIT_PER_MIN") {
                Some(text) => Some(
                    text.trim().parse().map_err(|_| "TANDEM_TENANT_RATE_LIMIT_PER_MIN is not a number".to_owned())?,
                )
                .filter(|limit| *limit > 0),
                None => None,
            },
            cors_origins: var("TANDEM_CORS_ORIGINS")
                .map(|list| {
                    list.split(',')
                        .map(|o| o.trim().trim_end_matches('/').to_owned())
                        .filter(|o| !o.is_empty())
                        .collect()
                })
                .unwrap_or_default(),
            mcp_commands: args.mcp_commands,
            scenario_packs_dir: args.scenario_packs_dir,
            export_dir: args.export_dir,
            witnesses: super::witness::parse(&args.witness)?,
            witness_interval: Duration::from_millis(args.witness_interval_ms),
            mcp_hosts: var("TANDEM_MCP_HOSTS")
                .map(|list| list.split(',').map(|host| host.trim().to_owned()).filter(|h| !h.is_empty()).collect())
                .unwrap_or_default(),
            metrics_public: var("TANDEM_METRICS_PUBLIC").is_some_and(|text| truthy(&text)),
        })
    }
}

/// The switch words of every boolean variable.
pub fn truthy(text: &str) -> bool {
    matches!(text.trim().to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on")
}

pub fn default_state_dir(var: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    // The base directory rules say that a relative XDG_DATA_HOME is to be ignored.
    let xdg = var("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    xdg.or_else(|| var("HOME").map(|home| PathBuf::from(home).join(".local/share"))).map(|base| base.join("tandem"))
}

fn backend(url: Option<&str>) -> Result<Backend, String> {
    match non_blank(url) {
        None => Ok(Backend::Sqlite),
        Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
            Ok(Backend::Postgres { url: url.to_owned() })
        }
        // The URL may carry a password, so it is not repeated.
        Some(_) => Err("--database-url must begin with postgres:// (leave it out for the embedded store)".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> Args {
        Args {
            hostname: "127.0.0.1".into(),
            port: 0,
            state_dir: None,
            database_url: None,
            api_token_file: None,
            unsafe_no_api_token: false,
            mcp_commands: None,
            scenario_packs_dir: None,
            export_dir: None,
            witness: Vec::new(),
            witness_interval_ms: 60_000,
            log_format: crate::telemetry::log::Format::Auto,
        }
    }

    fn with(vars: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::resolve(args(), &|name| {
            vars.iter()
                .chain(&[("HOME", "/home/x")])
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn variables_become_settings() {
        let plain = with(&[]).unwrap();
        assert_eq!(plain.state_dir, PathBuf::from("/home/x/.local/share/tandem"));
        assert_eq!((plain.rate_limit_per_min, plain.metrics_public), (None, false));
        let full = with(&[
            ("XDG_DATA_HOME", "/data"),
            ("TANDEM_TENANT_RATE_LIMIT_PER_MIN", "60"),
            ("TANDEM_CORS_ORIGINS", "https://a.test/, ,http://b.test"),
            ("TANDEM_METRICS_PUBLIC", "yes"),
        ])
        .unwrap();
        assert_eq!(full.state_dir, PathBuf::from("/data/tandem"));
        assert_eq!(full.cors_origins, ["https://a.test", "http://b.test"]);
        assert_eq!((full.rate_limit_per_min, full.metrics_public), (Some(60), true));
        assert_eq!(with(&[("TANDEM_TENANT_RATE_LIMIT_PER_MIN", "0")]).unwrap().rate_limit_per_min, None);
        assert_eq!(with(&[("XDG_DATA_HOME", "relative")]).unwrap().state_dir, plain.state_dir);
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        assert!(with(&[("TANDEM_RUNTIME_AUTH_MODE", "enterprise_required")]).is_err());
        assert!(with(&[("TANDEM_RUNTIME_AUTH_MODE", "local_single_tenant")]).is_ok());
        assert!(with(&[("TANDEM_TENANT_RATE_LIMIT_PER_MIN", "many")]).is_err());
        let refused = backend(Some("mysql://user:hunter2@host/db")).unwrap_err();
        assert!(!refused.contains("hunter2"));
    }
}
