//! The failures that the demo takes in: logs as runners and services print them, and the source files that their
//! stack traces point at. `samples/` holds both.
//!
//! A log has places that differ from run to run (`%%id%%`, `%%hex%%`, …), because grouping must see through them, and
//! places for secrets, which [`secrets`] makes at load time. Nothing in the repository looks like a credential.

pub mod secrets;

use tandem_core::fingerprint::Language;

/// One failure, and what is known of it beforehand.
pub struct Sample {
    pub name: &'static str,
    pub title: &'static str,
    pub component: &'static str,
    pub event: &'static str,
    pub process: &'static str,
    /// What its stack trace is written in; `None` for a log without a trace.
    pub language: Option<Language>,
    /// How often the demo reports it.
    pub times: u32,
    /// Each secret in the log, by its name in [`secrets`].
    pub secrets: &'static [&'static str],
    /// Path in the workspace, and text, of the files that it concerns. The first is the one at fault.
    pub sources: &'static [(&'static str, &'static str)],
    log: &'static str,
}

macro_rules! text {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/samples/", $path))
    };
}

pub const SAMPLES: [Sample; 7] = [
    Sample {
        name: "python-nightly-job",
        title: "Nightly billing failed: KeyError 'XAF'",
        component: "billing",
        event: "ci.job.failed",
        process: "nightly",
        language: Some(Language::Python),
        times: 4,
        secrets: &["github_token", "aws_key_id", "aws_secret"],
        sources: &[
            ("services/billing/billing/rates.py", text!("python-nightly-job/rates.py")),
            ("services/billing/billing/invoice.py", text!("python-nightly-job/invoice.py")),
        ],
        log: text!("python-nightly-job/failure.log"),
    },
    Sample {
        name: "java-service",
        title: "Orders cannot be loaded: connection pool exhausted",
        component: "orders",
        event: "service.request.failed",
        process: "orders-api",
        language: Some(Language::Java),
        times: 6,
        secrets: &["jwt", "db_password"],
        sources: &[(
            "services/orders/src/main/java/com/acme/shop/orders/OrderRepository.java",
            text!("java-service/OrderRepository.java"),
        )],
        log: text!("java-service/failure.log"),
    },
    Sample {
        name: "node-gateway",
        title: "Checkout crashed on a cart without a price",
        component: "gateway",
        event: "service.crashed",
        process: "gateway",
        language: Some(Language::JavaScript),
        times: 3,
        secrets: &["stripe_key"],
        sources: &[("services/gateway/src/checkout.js", text!("node-gateway/checkout.js"))],
        log: text!("node-gateway/failure.log"),
    },
    Sample {
        name: "go-inventory",
        title: "Inventory panicked while reserving",
        component: "inventory",
        event: "service.crashed",
        process: "inventory",
        language: Some(Language::Go),
        times: 2,
        secrets: &["db_password", "slack_token"],
        sources: &[("services/inventory/internal/stock/ledger.go", text!("go-inventory/ledger.go"))],
        log: text!("go-inventory/failure.log"),
    },
    Sample {
        name: "rust-ci-tests",
        title: "cargo test failed: a balanced month does not close",
        component: "ledger",
        event: "ci.tests.failed",
        process: "cargo test",
        language: Some(Language::Rust),
        times: 2,
        secrets: &["registry_token"],
        sources: &[("tools/ledger/src/close.rs", text!("rust-ci-tests/close.rs.txt"))],
        log: text!("rust-ci-tests/failure.log"),
    },
    Sample {
        name: "ruby-worker",
        title: "ReceiptJob failed with NoMethodError",
        component: "mailer",
        event: "job.failed",
        process: "sidekiq",
        language: Some(Language::Ruby),
        times: 3,
        secrets: &["smtp_password"],
        sources: &[("services/mailer/lib/receipt.rb", text!("ruby-worker/receipt.rb"))],
        log: text!("ruby-worker/failure.log"),
    },
    Sample {
        name: "actions-release",
        title: "Release of the checkout widget failed: npm 403",
        component: "release",
        event: "ci.job.failed",
        process: "npm publish",
        language: None,
        times: 2,
        secrets: &["npm_token"],
        sources: &[],
        log: text!("actions-release/failure.log"),
    },
];

/// What the growing log says in one round, and how many failures that are.
pub fn log_round(round: u32) -> String {
    filled(text!("growing-log/round.log"), round, &["stripe_key"])
}

pub const LOG_FAILURES: u64 = 3;

impl Sample {
    /// The log of one occurrence: what differs from run to run differs, and the secrets are in it.
    pub fn log(&self, occurrence: u32) -> String {
        filled(self.log, occurrence, self.secrets)
    }
}

/// Puts in what differs from run to run, and the secrets of these names.
fn filled(log: &str, occurrence: u32, names: &[&str]) -> String {
    let hex = |salt: u32| format!("{:06x}", (occurrence + 1).wrapping_mul(0x9e_37b1).wrapping_add(salt) & 0xff_ffff);
    let varying = [
        ("ss", format!("{:02}", (11 + occurrence * 17) % 60)),
        ("n", (occurrence + 1).to_string()),
        ("id", (4_711 + occurrence * 389).to_string()),
        ("hex", hex(0)),
        ("uuid", format!("{}{}-4b1d-4c0e-9f3a-{}{}", hex(1), &hex(2)[..2], hex(3), hex(4))),
    ];
    let mut log = log.to_owned();
    for (name, value) in varying {
        log = log.replace(&format!("%%{name}%%"), &value);
    }
    for name in names {
        log = log.replace(&format!("%%{name}%%"), &secrets::value(name));
    }
    log
}

/// Every secret that some sample holds: none of them may be found anywhere.
pub fn canaries() -> Vec<String> {
    let mut all: Vec<String> = SAMPLES.iter().flat_map(|s| s.secrets).map(|name| secrets::value(name)).collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests;
