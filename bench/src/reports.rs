//! Reports of about one kilobyte, as a service would send them: a Python failure with its stack trace.

use crate::{http, load::Requests};

const SLOT: &str = "@@@@@@@@@@@@";
const PATH: &str = "/incident-monitor/report";

/// What sets the reports of a measurement apart from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Each brings its own fingerprint.
    Distinct,
    /// All bring the same fingerprint.
    Same,
    /// None brings one; the function in which each failed is another.
    Traced,
}

/// The report as JSON; `SLOT` stands where reports differ.
fn body(kind: Kind) -> String {
    let (fingerprint, function) = match kind {
        Kind::Distinct => (format!("\"fingerprint\":\"checkout-{SLOT}\","), "reconcile".to_owned()),
        Kind::Same => ("\"fingerprint\":\"checkout-totals\",".to_owned(), "reconcile".to_owned()),
        Kind::Traced => (String::new(), format!("reconcile_{SLOT}")),
    };
    let trace = format!(
        "Traceback (most recent call last):\\n  \
         File \\\"/srv/checkout/app/worker.py\\\", line 88, in run\\n    result = handler(message)\\n  \
         File \\\"/srv/checkout/app/orders/handlers.py\\\", line 214, in on_order_paid\\n    totals = {function}(order, ledger)\\n  \
         File \\\"/srv/checkout/app/orders/totals.py\\\", line 61, in {function}\\n    raise ValueError(f\\\"totals differ: {{expected}} != {{actual}}\\\")\\n\
         ValueError: totals differ: 118.40 != 118.04"
    );
    format!(
        "{{\"report\":{{\"repo\":\"acme/checkout\",{fingerprint}\"title\":\"ValueError: totals differ after payment\",\
         \"source\":\"checkout-api\",\"process\":\"worker-3\",\"component\":\"orders\",\"event\":\"order.reconcile.failed\",\
         \"level\":\"error\",\"file_name\":\"app/orders/totals.py\",\"run_id\":\"run-{SLOT}\",\"confidence\":\"high\",\
         \"risk_level\":\"medium\",\"detail\":\"{trace}\",\"excerpt\":[\
         \"2026-03-04T10:22:31.114Z INFO order paid, reconciling\",\"2026-03-04T10:22:31.180Z ERROR totals differ: 118.40 != 118.04\"],\
         \"evidence_refs\":[\"ci://checkout/4711/log#L2041\"]}}}}"
    )
}

/// An endless supply for one connection, made by writing a counter into the prepared bytes.
#[derive(Clone)]
pub struct Reports {
    request: Vec<u8>,
    slots: Vec<usize>,
    next: u64,
}

impl Reports {
    /// One supply for each connection; no two give the same counter, nor do two calls with different `salt`s.
    pub fn supplies(kind: Kind, connections: u64, salt: u64) -> Vec<Self> {
        let request = http::post(PATH, &body(kind));
        let slots = request.windows(SLOT.len()).enumerate();
        let slots: Vec<usize> = slots.filter(|(_, part)| *part == SLOT.as_bytes()).map(|(at, _)| at).collect();
        let supply = |n: u64| Self { request: request.clone(), slots: slots.clone(), next: salt << 40 | n << 28 };
        (0..connections).map(supply).collect()
    }
}

impl Requests for Reports {
    fn next(&mut self) -> Option<&[u8]> {
        let mut letters = [0; SLOT.len()];
        for (n, letter) in letters.iter_mut().enumerate() {
            // Letters only: digits in an identifier would be taken for a volatile part.
            *letter = b'a' + (self.next >> (4 * n) & 15) as u8;
        }
        for at in &self.slots {
            self.request[*at..*at + SLOT.len()].copy_from_slice(&letters);
        }
        self.next += 1;
        Some(&self.request)
    }
}

/// The same report as a value, for those that write it into the store themselves.
pub fn submission(n: u64) -> serde_json::Result<tandem_core::signal::Submission> {
    #[derive(serde::Deserialize)]
    struct Wrapped {
        report: tandem_core::signal::Submission,
    }
    let text = body(Kind::Distinct).replace(SLOT, &format!("p{n:011}"));
    serde_json::from_str::<Wrapped>(&text).map(|wrapped| wrapped.report)
}
