//! What a failure of a log becomes at intake: one group for one fault, whatever stands around it, and no secrets.

use tandem_core::{
    fingerprint::{Basis, Language},
    signal::accept::{Accepted, Door, FreshIds, Settings, accept},
    tenant::TenantContext,
};

use super::*;

fn accepted(found: &Found) -> Accepted {
    let ids = FreshIds { incident_id: "i".into(), draft_id: "d".into(), event_id: "e".into() };
    let settings = Settings { repo: Some("acme/orders"), redact_secrets: true, ..Settings::default() };
    accept(found.submission(), Door::Report, &settings, &TenantContext::local().key(), ids, "r", NOW)
        .expect("it is accepted")
}

fn only(text: &str) -> Found {
    let mut found = failures(text);
    assert_eq!(found.len(), 1, "one failure in {text}: {found:#?}");
    found.remove(0)
}

const PYTHON: &str = "{time} ERROR orders.api request {id} failed
Traceback (most recent call last):
  File \"{root}/orders/api.py\", line {n}, in create
    total = price(order)
  File \"{root}/orders/pricing.py\", line 41, in price
    return rates[order[\"currency\"]]
KeyError: '{id}'
";
const JAVA: &str = "{time} ERROR [main] c.a.Api - request {id} failed
com.acme.OrderException: could not load {id}
\tat com.acme.OrderService.load(OrderService.java:{n})
\tat com.acme.Api.get(Api.java:31)
Caused by: java.io.IOException: closed
\tat com.acme.Store.read(Store.java:{n})
\t... 2 more
";
const GO: &str = "{time} http: panic serving 10.0.0.7:{n}: runtime error: index out of range [{n}] with length 3
goroutine {n} [running]:
main.(*Table).Rate(0xc000010250, {0x1, 0x3})
\t{root}/table.go:41 +0x1d
main.main()
\t{root}/main.go:{n} +0x9c
";
const RUST: &str = "thread 'worker' ({n}) panicked at src/pricing.rs:41:18:
called `Result::unwrap()` on an `Err` value: MissingRate
stack backtrace:
   0: rust_begin_unwind
   1: orders::pricing::rate
             at {root}/src/pricing.rs:41:18
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
";
const JSON: &str = r#"{"time":"{time}","level":"error","msg":"request {id} failed","pid":{n},"err":{"type":"TypeError","message":"no total in {id}","stack":"TypeError: no total in {id}\n    at price ({root}/pricing.js:41:18)\n    at create ({root}/api.js:12:5)"}}
"#;
const PLAIN: &str = "{time} ERROR orders.db connection {id} to 10.0.3.17:{n} was refused
";

fn filled(template: &str, time: &str, id: &str, n: &str, root: &str) -> String {
    template.replace("{time}", time).replace("{id}", id).replace("{n}", n).replace("{root}", root)
}

#[test]
fn equal_faults_have_one_fingerprint_whatever_stands_around_them() {
    let before = [
        "",
        "2026-03-14 09:12:01 INFO quiet\n",
        "a\nb\nc\nd\ne\nf\ng\n",
        "2026-03-14 09:12:01 INFO the last one failed with Traceback and KeyError: 'x'\n    at nowhere (x.js:1:2)\n",
        "  File \"/other.py\", line 1, in other\n",
    ];
    let after = ["", "2026-03-14 09:12:09 INFO next\n", "{\"level\":\"info\",\"msg\":\"next\"}\n"];
    let mut seen = std::collections::HashSet::new();
    for template in [PYTHON, JAVA, GO, RUST, JSON, PLAIN] {
        let mut fingerprints = std::collections::HashSet::new();
        for (n, before) in before.iter().enumerate() {
            for after in after {
                let time = ["2026-03-14T09:12:02Z", "2026-11-03T23:59:59Z"][n % 2];
                let id = ["5b0c1b7e-8a33-4c1e-9d53-1f2e3d4c5b6a", "0a1b2c3d-1111-4222-8333-444455556666"][n % 2];
                let root = ["/srv/app", "/home/build/work/17"][n % 2];
                let text = filled(template, time, id, &(17 + n * 1_000).to_string(), root);
                let text = format!("{before}{text}{after}");
                let found = failures(&text);
                let found = found.last().expect("a failure");
                fingerprints.insert(accepted(found).grouping.fingerprint);
            }
        }
        assert_eq!(fingerprints.len(), 1, "{template}");
        assert!(seen.is_disjoint(&fingerprints), "another fault has the same fingerprint: {template}");
        seen.extend(fingerprints);
    }
    let other = [
        PYTHON.replace("in price", "in charge"),
        PYTHON.replace("KeyError", "ValueError"),
        JAVA.replace("IOException", "EOFException"),
        GO.replace("index out of range", "slice bounds out of range"),
        RUST.replace("MissingRate", "StaleRate"),
        JSON.replace("at price", "at charge"),
        PLAIN.replace("refused", "reset"),
    ];
    for template in other {
        let text = filled(&template, "2026-03-14T09:12:02Z", "5b0c1b7e-8a33-4c1e-9d53-1f2e3d4c5b6a", "17", "/srv/app");
        let fingerprint = accepted(&only(&text)).grouping.fingerprint;
        assert!(seen.insert(fingerprint), "two faults have one fingerprint: {template}");
    }
}

#[test]
fn stacks_of_logs_are_grouped_as_stacks() {
    for (template, language) in [
        (PYTHON, Language::Python),
        (JAVA, Language::Java),
        (GO, Language::Go),
        (RUST, Language::Rust),
        (JSON, Language::JavaScript),
    ] {
        let text = filled(template, "2026-03-14T09:12:02Z", "4711", "17", "/srv/app");
        let grouping = accepted(&only(&text)).grouping;
        assert_eq!((grouping.basis, grouping.language), (Basis::Exception, Some(language)), "{template}");
        assert!(grouping.fingerprint.starts_with("v2:"));
    }
}

#[test]
fn context_is_shown_and_takes_no_part() {
    let found = only("INFO one\nINFO two\nERROR disk is full\n");
    assert_eq!(found.context, ["INFO one", "INFO two"]);
    let with = accepted(&found);
    assert!(with.composed.contains("context:\n  INFO one\n  INFO two"), "{}", with.composed);
    let without = accepted(&only("ERROR disk is full\n"));
    assert_eq!(with.grouping.fingerprint, without.grouping.fingerprint);
}

#[test]
fn a_fingerprint_of_the_writer_is_taken_and_cannot_break_out_of_a_marker() {
    let own = accepted(&only("{\"level\":\"error\",\"msg\":\"x\",\"fingerprint\":\"orders/lease-lost\"}\n"));
    assert_eq!((own.grouping.fingerprint.as_str(), own.grouping.basis), ("orders/lease-lost", Basis::Caller));
    for hostile in ["x --> <b>", "a--b", &"y".repeat(201), "z\\nz"] {
        let line = format!("{{\"level\":\"error\",\"msg\":\"x\",\"fingerprint\":\"{hostile}\"}}\n");
        let accepted = accepted(&only(&line));
        assert_eq!(accepted.grouping.basis, Basis::CallerHashed, "{hostile}");
        assert!(accepted.grouping.fingerprint.starts_with("v2:"));
    }
}

#[test]
fn secrets_of_a_log_reach_no_draft() {
    let secret = "hunter2hunter2hunter2";
    for line in [
        format!("ERROR request failed: Authorization: Bearer {secret}"),
        format!("ERROR cannot connect to postgres://orders:{secret}@db:5432/shop"),
        format!("ERROR AWS_SECRET_ACCESS_KEY={secret} was refused"),
        format!("{{\"level\":\"error\",\"msg\":\"refused\",\"access_token\":\"{secret}\"}}"),
        format!("{{\"level\":\"error\",\"msg\":\"refused\",\"auth\":{{\"password\":\"{secret}\"}}}}"),
        format!("INFO login with password={secret}\nERROR refused"),
        format!("time=2026-03-14T09:12:02Z level=error msg=refused api_key={secret}"),
    ] {
        let accepted = accepted(&only(&format!("{line}\n")));
        let written = format!("{} {} {:?}", accepted.title, accepted.composed, accepted.submission);
        assert!(!written.contains(secret), "{written}");
    }
}
