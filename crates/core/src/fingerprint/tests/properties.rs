//! For every input: no panic, the same answer twice, and no trace of a run's accidents in the answer.

use proptest::prelude::*;

use super::samples;
use crate::fingerprint::*;

fn of(title: &str, detail: &str, excerpt: &[String]) -> Grouping {
    group(&Signal {
        repo: "acme/orders",
        title: Some(title),
        detail: Some(detail),
        excerpt,
        event: Some("ci.failed"),
        ..Signal::default()
    })
}

/// Templates whose `{…}` are accidents of a run.
const TEMPLATES: [&str; 12] = [
    "ERROR request {uuid} failed after {n} attempts",
    "{time} ERROR worker-{n}: could not open {path}.log",
    "timeout after {n}ms calling https://api.example.com/v1/orders/{n}?trace={hex}",
    "panic: runtime error: index out of range [{n}] with length {n}\n\ngoroutine {n} [running]:\nmain.run(0x{hex})\n\t{path}.go:{n} +0x1d",
    "connection to {ip}:{n} refused (os error 111)",
    "[{time}] pid={n} FATAL out of memory: {n} bytes wanted, container {hex}",
    "Traceback (most recent call last):\n  File \"{path}.py\", line {n}, in run\n    go({n})\nKeyError: '{uuid}'",
    "java.lang.IllegalStateException: job {uuid} at {time}\n\tat com.acme.Job.run(Job.java:{n})",
    "Error: no file {path}\n    at load ({path}.js:{n}:{n})\n    at main ({path}.js:{n}:{n})",
    "thread 'w-{n}' panicked at src/job.rs:{n}:{n}:\njob {uuid} has {n} steps",
    "{path}.rb:{n}:in `run': bad id {n} (ArgumentError)\n\tfrom {path}.rb:{n}:in `main'",
    "request_id={hex} session_id={uuid} user={n} exit code 137",
];

#[derive(Debug, Clone)]
struct Run {
    uuids: Vec<String>,
    numbers: Vec<u32>,
    hex: String,
    root: String,
    time: usize,
    ip: [u8; 4],
}

fn run() -> impl Strategy<Value = Run> {
    (
        proptest::collection::vec("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", 4),
        proptest::collection::vec(0_u32..900_000, 8),
        "[0-9a-f]{6}[0-9]{2}[0-9a-f]{4}",
        prop_oneof![
            Just("/tmp/".to_owned()),
            "/tmp/[a-z0-9]{8}/",
            "/home/[a-z]{3,8}/work/",
            "/builds/[a-z]{3,8}/[0-9]{1,6}/",
            "/var/folders/[a-z0-9]{2}/[a-z0-9]{12}/T/",
        ],
        0_usize..5,
        any::<[u8; 4]>(),
    )
        .prop_map(|(uuids, numbers, hex, root, time, ip)| Run { uuids, numbers, hex, root, time, ip })
}

fn fill(template: &str, run: &Run) -> String {
    let [a, b, c, d] = run.ip;
    let n = |i: usize| run.numbers[i % run.numbers.len()];
    let (hour, minute) = (n(0) % 24, n(1) % 60);
    let time = match run.time {
        0 => format!("2026-0{}-1{}T{hour:02}:{minute:02}:05.{:03}Z", n(2) % 9 + 1, n(3) % 10, n(4) % 1000),
        1 => format!("2025-1{}-2{} {hour:02}:{minute:02}:59,{:03}", n(2) % 3, n(3) % 8, n(4) % 1000),
        2 => format!("2024/0{}/0{} {hour:02}:{minute:02}:00", n(2) % 9 + 1, n(3) % 9 + 1),
        3 => format!("Jan {:2} {hour:02}:{minute:02}:07", n(2) % 28 + 1),
        _ => format!("2026-03-04T{hour:02}:{minute:02}:05+02:00"),
    };
    let mut out = String::new();
    let mut rest = template;
    let mut used = 0;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else { break };
        used += 1;
        match name {
            "uuid" => out.push_str(&run.uuids[used % run.uuids.len()]),
            "n" => out.push_str(&n(used).to_string()),
            "hex" => out.push_str(&run.hex),
            "path" => out.push_str(&format!("{}job", run.root)),
            "ip" => out.push_str(&format!("{a}.{b}.{c}.{d}")),
            "time" => out.push_str(&time),
            other => panic!("unknown accident {other}"),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn accidents_of_a_run_do_not_change_the_group(one in run(), other in run()) {
        for template in TEMPLATES {
            let (a, b) = (fill(template, &one), fill(template, &other));
            let lines = |t: &str| t.lines().map(str::to_owned).collect::<Vec<_>>();
            let (x, y) = (of("Job failed", "", &lines(&a)), of("Job failed", "", &lines(&b)));
            prop_assert_eq!(&x.fingerprint, &y.fingerprint, "\n{}\n{}\n{:?}\n{:?}", a, b, x.parts, y.parts);
            let first = |t: &str| t.lines().next().unwrap_or_default().to_owned();
            let (x, y) = (of(&first(&a), &a, &[]), of(&first(&b), &b, &[]));
            prop_assert_eq!(&x.fingerprint, &y.fingerprint, "\n{}\n{}\n{:?}\n{:?}", a, b, x.parts, y.parts);
        }
    }

    #[test]
    fn templates_stay_apart(one in run()) {
        let all: std::collections::BTreeSet<String> =
            TEMPLATES.iter().map(|t| of("Job failed", &fill(t, &one), &[]).fingerprint).collect();
        prop_assert_eq!(all.len(), TEMPLATES.len());
    }

    #[test]
    fn any_text_is_read(text in any::<String>(), lines in proptest::collection::vec(any::<String>(), 0..6)) {
        let grouping = of(&text, &text, &lines);
        prop_assert_eq!(&grouping, &of(&text, &text, &lines));
        prop_assert!(grouping.fingerprint.starts_with("v2:") && grouping.fingerprint.len() == 35);
        let _ = parse_trace(&text);
        let _ = caller(&text);
    }

    /// Text made of the marks that the readers look for reaches further into them than random text does.
    #[test]
    fn any_salad_of_marks_is_read(words in proptest::collection::vec(prop_oneof![
        Just("Traceback (most recent call last):"), Just("\n"), Just("  File \""), Just("\", line "), Just(", in "),
        Just("at "), Just("\n\tat "), Just("("), Just(")"), Just(":"), Just("1"), Just("99999999999999999999"), Just("goroutine 1 [running]:"),
        Just("panic: "), Just("panicked at "), Just("thread 'é' "), Just("', "), Just("Caused by:"), Just("Caused by: "),
        Just("stack backtrace:"), Just("\n   0: "), Just(".rb:"), Just(":in `"), Just("'"), Just("from "), Just(" ---> "),
        Just("--- End of inner exception stack trace ---"), Just("... 9 more"), Just("é"), Just("😀"), Just("\u{1b}["), Just("["),
        Just("]"), Just("Error"), Just("KeyError: "), Just("/tmp/"), Just("C:\\"), Just("https://"), Just("@"), Just("::"), Just("0x"),
        Just("2026-01-02T"), Just("03:04"), Just("Jan "), Just("{\"msg\":\""), Just("\"}"), Just(".<"), Just(">"), Just("E1"), Just("| "), Just("#1 2.3 "),
    ], 0..40)) {
        let text = words.concat();
        let grouping = of("", &text, std::slice::from_ref(&text));
        prop_assert_eq!(&grouping, &of("", &text, std::slice::from_ref(&text)));
        let _ = normalise(&text);
    }
}

#[test]
fn every_cut_of_every_sample_is_read() {
    for sample in samples::ALL {
        for (at, _) in sample.char_indices() {
            let (head, tail) = sample.split_at(at);
            for text in [head, tail] {
                let _ = of(text, text, &[]);
                let _ = parse_trace(text);
            }
        }
    }
}

#[test]
fn a_huge_report_is_bounded() {
    let line = "at com.acme.A.b(A.java:1) é [x] 2026-01-01 {\"a\":1} /tmp/x ".repeat(40_000);
    let many: Vec<String> = (0..50).map(|_| line.clone()).collect();
    let grouping = of(&line, &line, &many);
    assert!(grouping.parts.iter().all(|p| p.value.len() <= 400));
    let nested = format!("{{\"msg\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(of("x", &nested, &[]).basis, Basis::Title);
}
