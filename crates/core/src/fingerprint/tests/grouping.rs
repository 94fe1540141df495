//! Pairs of reports: the same failure, or two.

use super::samples::*;
use crate::fingerprint::*;

#[derive(Clone, Default)]
struct Report {
    title: Option<String>,
    detail: Option<String>,
    excerpt: Vec<String>,
    event: Option<String>,
    component: Option<String>,
}

impl Report {
    fn group(&self) -> Grouping {
        group(&Signal {
            repo: "acme/orders",
            title: self.title.as_deref(),
            detail: self.detail.as_deref(),
            excerpt: &self.excerpt,
            event: self.event.as_deref(),
            component: self.component.as_deref(),
            ..Signal::default()
        })
    }
}

fn titled(title: &str, detail: &str) -> Report {
    let some = |t: &str| (!t.is_empty()).then(|| t.to_owned());
    Report { title: some(title), detail: some(detail), ..Report::default() }
}

fn detailed(detail: &str) -> Report {
    titled("", detail)
}

fn lines(text: &str) -> Report {
    Report { excerpt: text.lines().map(str::to_owned).collect(), ..Report::default() }
}

fn same(a: &Report, b: &Report, why: &str) {
    let (a, b) = (a.group(), b.group());
    assert_eq!(a.fingerprint, b.fingerprint, "{why}\n{:#?}\n{:#?}", a.parts, b.parts);
}

fn apart(a: &Report, b: &Report, why: &str) {
    let (a, b) = (a.group(), b.group());
    assert_ne!(a.fingerprint, b.fingerprint, "{why}\n{:#?}", a.parts);
}

#[test]
fn the_shape_of_a_fingerprint() {
    let grouping = detailed(PYTHON).group();
    assert!(grouping.fingerprint.starts_with("v2:") && grouping.fingerprint.len() == 35);
    assert_eq!(grouping.basis, Basis::Exception);
    assert_eq!(grouping.language, Some(Language::Python));
    let parts: Vec<String> = grouping.parts.iter().map(|p| format!("{}={}", p.name, p.value)).collect();
    assert_eq!(
        parts,
        ["repo=acme/orders", "exception_type=KeyError", "frame=price (pricing.py)", "frame=create (api.py)"]
    );
    let wire = serde_json::to_value(&grouping).unwrap_or_default();
    assert_eq!(wire["basis"], "exception");
    assert_eq!(wire["language"], "python");
    assert_eq!(wire["algorithm"], "v2");
    assert_eq!(serde_json::from_value::<Grouping>(wire).ok(), Some(grouping));
}

/// A changed value here is a new algorithm: stored incidents would split.
#[test]
fn fingerprints_are_pinned() {
    let rows = [
        (detailed(PYTHON), PINNED[0]),
        (detailed(JAVA), PINNED[1]),
        (detailed(GO), PINNED[2]),
        (titled("Nightly export failed", "HTTP 503 from 10.0.0.1"), PINNED[3]),
    ];
    for (report, expected) in rows {
        assert_eq!(report.group().fingerprint, expected);
    }
}

const PINNED: [&str; 4] = [
    "v2:c3d3989d19148ec72fdade8cf687f1eb",
    "v2:51345e07657e586407d0b1bcded8a0a0",
    "v2:9e3c1aa71f4635e515195c62d7e11042",
    "v2:31bdf30b40887261ef187cc717b09b43",
];

#[test]
fn a_trace_groups_whatever_is_around_it() {
    for sample in [PYTHON, PYTHON_CHAINED, JAVA, JAVASCRIPT, GO, GO_WRAPPED, RUST, RUBY, RUBY_REVERSED, DOTNET] {
        let plain = detailed(sample);
        assert_eq!(plain.group().basis, Basis::Exception, "{sample}");
        same(&plain, &lines(sample), "detail or excerpt");
        same(&plain, &titled("request 4711 failed", sample), "a title");
        let context = "2026-01-02 03:04:05 INFO accepted 4711\n2026-01-02 03:04:06 WARN slow\n";
        same(&plain, &lines(&format!("{context}{sample}")), "context before");
        same(&plain, &detailed(&format!("{sample}\n\nretrying in 3 s\nbye")), "context after");
        let prefixed: Vec<String> = sample.lines().map(|l| format!("2026-01-02T03:04:05.678Z [main] {l}")).collect();
        same(&plain, &lines(&prefixed.join("\n")), "a prefix on every line");
    }
}

#[test]
fn what_an_edit_or_another_machine_changes_does_not_count() {
    let pairs = [
        (PYTHON, PYTHON.replace("line 41", "line 77").replace("/srv/app/releases/20260101/", "/tmp/tmpx8f2/")),
        (PYTHON, PYTHON.replace("'XAF'", "'EUR'")),
        (JAVA, JAVA.replace(".java:57", ".java:61").replace("4711", "4712").replace("48151", "99")),
        (JAVASCRIPT, JAVASCRIPT.replace("/app/", "/home/jane/shop/").replace(":41:18", ":44:3")),
        (BROWSER, BROWSER.replace("4f3a2b1c", "99ab00cd").replace("1:2345", "1:777")),
        (GO, GO.replace("[5] with length 3", "[9] with length 7").replace("0xc000010250", "0xc0000aa000")),
        (GO, GO.replace("goroutine 1 ", "goroutine 99 ").replace("func1", "func3")),
        (
            RUST,
            RUST.replace("41:18", "50:2").replace("(48151)", "(7)").replace("h0123456789abcdef", "hfedcba9876543210"),
        ),
        (RUST_OLD, RUST_OLD.replace("is 3 but the index is 5", "is 30 but the index is 51").replace(":4:5", ":9:9")),
        (RUBY, RUBY.replace("/app/", "/srv/releases/77/").replace(":41:", ":43:").replace("XAF", "EUR")),
        (
            DOTNET,
            DOTNET
                .replace("4711", "12")
                .replace("line 42", "line 1")
                .replace("d__12", "d__14")
                .replace("/src/", "C:\\b\\"),
        ),
    ];
    for (one, other) in pairs {
        assert_ne!(one, other);
        same(&detailed(one), &detailed(&other), one);
    }
}

#[test]
fn another_type_place_or_code_is_another_failure() {
    let pairs = [
        (PYTHON, PYTHON.replace("KeyError", "TypeError")),
        (PYTHON, PYTHON.replace("in price", "in tax")),
        (JAVA, JAVA.replace("PSQLException", "PSQLTimeoutException")),
        (JAVA, JAVA.replace("40P01", "57014 57P01")),
        (JAVA, JAVA.replace("OrderRepository.find", "OrderRepository.save")),
        (JAVASCRIPT, JAVASCRIPT.replace("ECONNREFUSED", "ECONNRESET")),
        (GO, GO.replace("index out of range [5] with length 3", "integer divide by zero")),
        (GO, GO.replace("Table).Rate", "Table).Load")),
        (RUST, RUST.replace("called `Result::unwrap()` on an `Err` value", "rates are missing")),
        (RUST_OLD, RUST_OLD.replace("main.rs", "tax.rs")),
        (RUST_CHAIN, RUST_CHAIN.replace("os error 2", "os error 13")),
        (RUBY, RUBY.replace("Errno::ECONNREFUSED", "Errno::ETIMEDOUT")),
        (DOTNET, DOTNET.replace("HttpRequestException", "TimeoutException")),
    ];
    for (one, other) in pairs {
        assert_ne!(one, other);
        apart(&detailed(one), &detailed(&other), one);
    }
    let http = |status: &str| {
        detailed(&format!(
            "Traceback (most recent call last):\n  File \"/app/a.py\", line 3, in get\n    x()\nrequests.exceptions.HTTPError: {status} for url: https://api.example.com/v1/orders/12"
        ))
    };
    apart(&http("404 Client Error: Not Found"), &http("500 Server Error: Internal"), "the status counts with a stack");
    same(&http("404 Client Error: Not Found"), &http("404 Client Error: Not  Found"), "the wording does not");
}

#[test]
fn recursion_collapses() {
    let trace = |depth: usize| {
        let mut text =
            String::from("Traceback (most recent call last):\n  File \"/app/t.py\", line 9, in main\n    walk()\n");
        for _ in 0..depth {
            text.push_str("  File \"/app/t.py\", line 4, in walk\n    visit()\n  File \"/app/t.py\", line 6, in visit\n    walk()\n");
        }
        text.push_str("RecursionError: maximum recursion depth exceeded");
        detailed(&text)
    };
    same(&trace(3), &trace(90), "depth is chance");
    apart(&trace(3), &detailed(PYTHON), "still its own failure");
    let java = |first: &str, second: &str| {
        detailed(&format!(
            "java.lang.StackOverflowError\n\tat com.acme.T.{first}(T.java:1)\n\tat com.acme.T.{second}(T.java:2)\n\tat com.acme.T.{first}(T.java:1)"
        ))
    };
    same(&java("a", "b"), &java("b", "a"), "the top of a cycle is chance");
}

#[test]
fn library_frames_stand_in_when_nothing_else_is_known() {
    let node = |message: &str, function: &str| {
        detailed(&format!("Error: {message}\n    at {function} (node:net:1595:16)\n    at x (node:events:1:2)"))
    };
    let refused = node("connect ECONNREFUSED 127.0.0.1:5432", "TCPConnectWrap.afterConnect [as oncomplete]");
    same(
        &refused,
        &node("connect ECONNREFUSED 10.0.0.9:5432", "TCPConnectWrap.afterConnect"),
        "the address is volatile",
    );
    apart(&refused, &node("socket hang up", "TCPConnectWrap.afterConnect"), "the message tells them apart");
    apart(&refused, &node("connect ECONNREFUSED 127.0.0.1:5432", "Socket.socketOnEnd"), "the frame counts");
}

#[test]
fn plain_reports_that_are_one_failure() {
    let pairs = [
        (titled("Nightly export failed", ""), titled("Nightly export failed", "")),
        (titled("Job 4711 failed", ""), titled("Job 4712 failed", "")),
        (
            titled("Export failed", "timeout after 30s for request 0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"),
            titled("Export failed", "timeout after 45s for request 11111111-2222-4333-8444-555555555555"),
        ),
        (
            titled("Deploy failed", "exit code 1 in /tmp/build-1/run.sh"),
            titled("Deploy failed", "exit code 1 in /tmp/x9/run.sh"),
        ),
        (
            lines("INFO start\nINFO step 4\nERROR: disk full on /dev/sda1"),
            lines("INFO other context\nERROR: disk full on /dev/sda1"),
        ),
        (
            lines("2026-01-02T03:04:05Z ERROR dial 10.0.0.1:5432 refused"),
            lines("2026-05-06T07:08:09Z ERROR dial 10.0.0.2:5433 refused"),
        ),
        (lines("[main] ERROR boom happened"), lines("2026-01-02 03:04:05,123 ERROR boom happened")),
        (
            lines(r#"{"level":"error","msg":"pool failed","pid":1}"#),
            lines(r#"{"level":"error","pid":22,"msg":"pool failed"}"#),
        ),
        (
            titled("dial tcp 10.0.0.1:1 failed", "first\nERROR dial tcp 10.0.0.1:1 failed"),
            titled("dial tcp 10.9.0.1:1 failed", ""),
        ),
    ];
    for (one, other) in pairs {
        same(&one, &other, "one failure");
    }
}

#[test]
fn plain_reports_that_are_two_failures() {
    let evented = |event: &str, component: &str| Report {
        event: Some(event.to_owned()),
        component: Some(component.to_owned()),
        ..Report::default()
    };
    let pairs = [
        (titled("Nightly export failed", ""), titled("Nightly import failed", "")),
        (titled("Nightly export failed", "exit code 1"), titled("Nightly import failed", "exit code 1")),
        (titled("Export is slow", "see below"), titled("Import is slow", "see below")),
        (titled("Build failed", "error: missing semicolon"), titled("Build failed", "error: type mismatch")),
        (titled("Upstream", "HTTP 404"), titled("Upstream", "HTTP 500")),
        (titled("HTTP 404", ""), titled("HTTP 500", "")),
        (titled("Worker exited with code 1", ""), titled("Worker exited with code 137", "")),
        (titled("GET /api/users/1 failed", ""), titled("GET /api/orders/1 failed", "")),
        (lines("step one\nERROR disk full"), lines("step one\nERROR no route to host")),
        (evented("ci.failed", "api"), evented("ci.failed", "web")),
        (evented("ci.failed", "api"), evented("ci.cancelled", "api")),
        (titled("x", ""), Report { component: Some("api".into()), ..titled("x", "") }),
    ];
    for (one, other) in pairs {
        apart(&one, &other, "two failures");
    }
    let repo = |repo| group(&Signal { repo, title: Some("x failed"), ..Signal::default() }).fingerprint;
    assert_ne!(repo("acme/a"), repo("acme/b"));
    assert_eq!(repo("acme/a"), repo("Acme/A"));
}

#[test]
fn the_basis_says_what_decided() {
    let basis = |r: &Report| r.group().basis;
    assert_eq!(basis(&titled("Export failed", "")), Basis::Title);
    assert_eq!(basis(&titled("Export is slow", "nothing else")), Basis::Title);
    assert_eq!(basis(&titled("Export", "error: no disk")), Basis::ErrorLine);
    assert_eq!(basis(&detailed("it went wrong")), Basis::ErrorLine);
    assert_eq!(basis(&Report { event: Some("ci.failed".into()), ..Report::default() }), Basis::Event);
    assert_eq!(basis(&Report::default()), Basis::Event);
}

#[test]
fn counts_of_errors_are_not_errors() {
    for line in [
        "0 errors found",
        "finished without error",
        "errors: 0",
        "INFO retry after failure",
        "no errors",
        "error_count=0",
    ] {
        let report = Report { excerpt: vec![line.to_owned(), "ERROR disk full".to_owned()], ..Report::default() };
        let shown = report.group().parts.into_iter().find(|p| p.name == "error_line").map(|p| p.value);
        assert_eq!(shown.as_deref(), Some("disk full"), "{line}");
    }
}

#[test]
fn a_callers_fingerprint_is_kept_when_plain() {
    let longest = "x".repeat(200);
    for text in ["ci/build/main", "db:timeout é", "v2:abc", "a-b", longest.as_str()] {
        let grouping = caller(text);
        assert_eq!((grouping.fingerprint.as_str(), grouping.basis), (text, Basis::Caller));
    }
    let long = "x".repeat(201);
    let bad =
        ["", "  ", "a--b", "<!-- x", "a>b", "a\nb", "a\rb", "a\u{2028}b", "a\u{202e}b", "a\0b", "a\tb", long.as_str()];
    let mut seen = std::collections::BTreeSet::new();
    for text in bad {
        let grouping = caller(text);
        assert_eq!(grouping.basis, Basis::CallerHashed, "{text:?}");
        assert!(grouping.fingerprint.starts_with("v2:") && grouping.fingerprint.len() == 35);
        assert!(seen.insert(grouping.fingerprint), "{text:?}");
    }
}

#[test]
fn equal_messages_with_different_statuses_stay_apart() {
    for form in [
        "Got {} for /cart",
        "The requested URL returned error: {}",
        "GET https://api.example.com/cart {}",
        "GET /cart {} 12.5 ms - 153",
        "charge -> {}",
        "django.http.Http{}",
        "Http{}Error: no",
        "raised HttpException({})",
        "the shop answered with a status of {}",
        r#"{"level":"error","msg":"charge failed","status":{}}"#,
        r#"{"level":50,"msg":"charge failed","res":{"statusCode":{}}}"#,
        r#"{"statusCode":{},"message":"charge failed"}"#,
    ] {
        let (a, b) = (form.replace("{}", "404"), form.replace("{}", "503"));
        apart(&titled("job broke", &a), &titled("job broke", &b), form);
        if !form.starts_with('{') {
            apart(&titled(&a, "it went on"), &titled(&b, "it went on"), form);
        }
    }
    let record = |status: u32, port: u32| {
        detailed(&format!(r#"{{"level":"error","msg":"charge failed","status":{status},"port":{port}}}"#))
    };
    same(&record(503, 8080), &record(503, 9090), "other numbers of a record do not count");
    same(&record(200, 1), &record(204, 1), "success is no code");
    apart(
        &detailed(r#"{"msg":"call failed","code":"ECONNREFUSED"}"#),
        &detailed(r#"{"msg":"call failed","code":"ETIMEDOUT"}"#),
        "names of errors",
    );
}
