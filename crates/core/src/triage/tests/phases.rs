use super::*;
use crate::triage::{
    inspect::TERM_CAP,
    research::{Confidence, FileHit, FoundBy},
};

const PYTHON: &str = r#"Traceback (most recent call last):
  File "/srv/app/orders/api.py", line 88, in create
    total = price(order)
  File "/srv/app/orders/pricing.py", line 41, in price
    return rates[order["currency"]]
KeyError: 'XAF'"#;
const JAVA: &str = "com.acme.orders.OrderException: could not load order 4711
\tat com.acme.orders.OrderService.loadOrder(OrderService.java:57)
\tat org.springframework.web.servlet.FrameworkServlet.service(FrameworkServlet.java:885)
Caused by: java.sql.SQLTimeoutException: query timed out after 30 s
\tat org.postgresql.core.v3.QueryExecutorImpl.receive(QueryExecutorImpl.java:2676)
\tat com.acme.orders.OrderRepository.findOrder(OrderRepository.java:112)";
const GO: &str = "panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
github.com/acme/orders/internal/pricing.(*Table).RateFor(0xc000010250, {0xc00001c0a8, 0x3})
\t/build/src/internal/pricing/table.go:41 +0x1d
net/http.HandlerFunc.ServeHTTP(0xc0000b4000, {0x7f8a10, 0xc0000c0000}, 0xc0000d2000)
\t/usr/local/go/src/net/http/server.go:2136 +0x29
exit status 2";
const JS: &str = "TypeError: Cannot read properties of undefined (reading 'total')
    at Object.priceOrder (/app/src/orders/pricing.js:41:18)
    at /app/node_modules/express/lib/router/layer.js:95:5";
const RUST: &str = "thread 'main' panicked at src/pricing.rs:41:18:
called `Option::unwrap()` on a `None` value
stack backtrace:
   0: core::option::unwrap_failed
   1: orders::pricing::rate_of
             at ./src/pricing.rs:41:18";
const RUBY: &str = "app/pricing.rb:2:in `rate_for': undefined method `*' for nil:NilClass (NoMethodError)
\tfrom app/orders.rb:5:in `run'";

#[test]
fn each_language_is_inspected() {
    let rows = [
        ("python", PYTHON, "KeyError", "orders/pricing.py", 41, "price", FailureType::CodeDefect),
        (
            "java",
            JAVA,
            "java.sql.SQLTimeoutException",
            "com/acme/orders/OrderRepository.java",
            112,
            "findOrder",
            FailureType::Timeout,
        ),
        ("go", GO, "runtime error", "internal/pricing/table.go", 41, "RateFor", FailureType::CodeDefect),
        ("javascript", JS, "TypeError", "src/orders/pricing.js", 41, "priceOrder", FailureType::CodeDefect),
        ("rust", RUST, "panic", "src/pricing.rs", 41, "rate_of", FailureType::CodeDefect),
        ("ruby", RUBY, "NoMethodError", "app/pricing.rb", 2, "rate_for", FailureType::CodeDefect),
    ];
    for (language, trace, kind, file, line, term, failure) in rows {
        let (inspection, research, _) = through(trace, WorkspaceFindings::default());
        assert_eq!(inspection.language.as_deref(), Some(language));
        assert_eq!(inspection.root_cause().unwrap().kind, kind, "{language}");
        let first = &research.plan.frame_files[0];
        assert!(first.file.ends_with(file), "{language}: {first:?}");
        assert_eq!(first.line, Some(line), "{language}");
        assert!(research.plan.terms.iter().any(|t| t == term), "{language}: {:?}", research.plan.terms);
        assert_eq!(inspection.failure_type, failure, "{language}: {:?}", inspection.failure_type_evidence);
        assert!(inspection.exception_key.is_some() && inspection.top_frame_key.is_some(), "{language}");
    }
}

#[test]
fn libraries_are_not_looked_for() {
    let (_, research, _) = through(JAVA, WorkspaceFindings::default());
    assert!(research.plan.frame_files.iter().all(|f| f.file.contains("Order")), "{:?}", research.plan);
    assert!(!research.plan.terms.iter().any(|t| t == "service" || t == "receive"));
}

#[test]
fn failure_types_by_evidence() {
    let rows = [
        ("ERROR upstream request timed out", "timeout"),
        ("dial tcp: connect ECONNREFUSED", "external_dependency"),
        ("error: required environment variable DATABASE_URL is not set", "missing_config"),
        ("open ledger: permission denied (error)", "missing_capability"),
        ("error: context length exceeded by the prompt", "model_error"),
        ("error: payload failed schema check", "validation_error"),
        ("error: make: exit status 2", "tool_error"),
        ("something odd failed", "unknown"),
    ];
    for (line, word) in rows {
        let mut incident = incident(line);
        // The list of files below must not decide: only the error line and the title speak.
        incident.excerpt = vec![line.to_owned(), "listing timeout.rs invalid.rs".to_owned()];
        assert_eq!(inspect(&draft(), Some(&incident)).failure_type.word(), word, "{line}");
    }
}

#[test]
fn every_term_is_made_of_words_of_the_report() {
    for trace in [PYTHON, JAVA, GO, JS, RUST, RUBY, "could not reach `ledger_service` while charging the customer card"]
    {
        let (inspection, ..) = through(trace, WorkspaceFindings::default());
        assert!(!inspection.terms.is_empty() && inspection.terms.len() <= TERM_CAP);
        let words = format!("{trace} Order pricing fails job.failed pricing").to_lowercase();
        for term in &inspection.terms {
            let lower = term.to_lowercase();
            assert!(lower.split(' ').all(|word| words.contains(word)), "{term}");
        }
    }
    let long = (0..200).map(|n| format!("thing_number_{n}_failed ")).collect::<String>();
    assert_eq!(through(&long, WorkspaceFindings::default()).0.terms.len(), TERM_CAP);
}

fn hit(path: &str, needle: &str, found_by: FoundBy, exact: bool) -> FileHit {
    FileHit {
        path: path.into(),
        line: exact.then_some(41),
        snippet: "x".into(),
        found_by,
        needle: needle.into(),
        exact,
    }
}

#[test]
fn beside_an_exact_frame_a_common_word_leads_nowhere() {
    let frame = hit("orders/pricing.py", "/srv/app/orders/pricing.py", FoundBy::Frame, true);
    let word = hit("receipts/total.rb", "price", FoundBy::Term, false);
    for (hits, files) in
        [(vec![frame, word.clone()], vec!["orders/pricing.py"]), (vec![word], vec!["receipts/total.rb"])]
    {
        let shown = hits.len();
        let found = WorkspaceFindings { available: true, files_searched: 7, hits, ..Default::default() };
        let (_, _, input) = through(PYTHON, found);
        assert_eq!(input.likely_files_to_edit, files);
        assert_eq!(input.fix_points.len(), files.len());
        // What was found is still told.
        assert_eq!(input.file_references.len(), shown);
    }
}

#[test]
fn confidence_is_what_was_found() {
    let frame = "/srv/app/orders/pricing.py";
    let rows = [
        (vec![], Confidence::Low),
        (vec![hit("orders/pricing.py", frame, FoundBy::Frame, true)], Confidence::High),
        (vec![hit("orders/pricing.py", frame, FoundBy::Frame, false)], Confidence::Medium),
        (vec![hit("a.py", "price", FoundBy::Term, false)], Confidence::Medium),
        // A term never makes it high, and a file that nobody asked for does not exist.
        (vec![hit("a.py", "price", FoundBy::Term, true)], Confidence::Medium),
        (vec![hit("crates/server/src/lib.rs", "incident monitor", FoundBy::Term, false)], Confidence::Low),
        (vec![hit("secret.py", "/etc/secret.py", FoundBy::Frame, true)], Confidence::Low),
    ];
    for (hits, expected) in rows {
        let found = WorkspaceFindings { available: true, files_searched: 7, hits: hits.clone(), ..Default::default() };
        let (_, research, input) = through(PYTHON, found);
        assert_eq!(research.confidence, expected, "{hits:?}");
        assert_eq!(input.root_cause_confidence.as_deref(), Some(expected.word()));
        assert_eq!(input.likely_files_to_edit.is_empty(), expected == Confidence::Low);
        if expected == Confidence::Low {
            assert!(input.fix_points.is_empty() && input.file_references.is_empty());
            assert!(input.why_it_likely_happened.unwrap().contains("cause is unknown"));
        }
    }
}

#[test]
fn without_a_workspace_it_says_so() {
    let (_, research, input) = through("job failed", WorkspaceFindings::default());
    assert!(research.likely_cause.contains("No workspace was available"));
    assert!(input.notes.unwrap().contains("no workspace was available"));
}

#[test]
fn a_draft_without_its_incident_reads_the_same_trace() {
    let mut draft = draft();
    let indented: String = PYTHON.lines().map(|line| format!("  {line}\n")).collect();
    draft.detail = Some(format!("source: ci\ncomponent: pricing\n\nIt broke.\n\nexcerpt:\n{}", indented.trim_end()));
    let inspection = inspect(&draft, None);
    assert_eq!(inspection.root_cause().unwrap().kind, "KeyError");
    assert_eq!(inspection.top_frames[0].function.as_deref(), Some("price"));
    draft.detail = Some(String::new());
    assert_eq!(inspect(&draft, None).failure_type, FailureType::Unknown);
}
