//! Every sample is what it claims to be: its trace reads as its language, its secrets disappear, its runs are one group.

use std::collections::HashSet;

use tandem_core::{
    fingerprint::{Basis, Signal, group, parse_trace},
    redaction::{Counts, redactor},
    text::truncate,
};

use super::*;

fn redacted(log: &str) -> (String, Counts) {
    let mut counts = Counts::new();
    (redactor(None).text(log, &mut counts).into_owned(), counts)
}

#[test]
fn each_trace_reads_as_its_language_even_after_redaction() {
    for sample in &SAMPLES {
        let log = sample.log(0);
        let language = |text: &str| parse_trace(text).map(|trace| trace.language);
        assert_eq!(language(&log), sample.language, "{}", sample.name);
        assert_eq!(language(&redacted(&log).0), sample.language, "{}", sample.name);
    }
}

#[test]
fn each_secret_is_in_the_log_and_none_survives() {
    for sample in &SAMPLES {
        let log = sample.log(1);
        let (clean, counts) = redacted(&log);
        assert!(!sample.secrets.is_empty() && counts.values().sum::<u32>() as usize >= sample.secrets.len());
        for name in sample.secrets {
            let secret = secrets::value(name);
            assert!(log.contains(&secret), "{}: {name} is not in the log", sample.name);
            assert!(!clean.contains(&secret), "{}: {name} survived:\n{clean}", sample.name);
        }
        assert!(!log.contains("%%"), "{}: a place was left unfilled", sample.name);
    }
}

#[test]
fn the_repository_holds_no_secret() {
    for sample in &SAMPLES {
        let (_, counts) = redacted(&sample.log.replace("%%", ""));
        let named: Vec<_> =
            counts.keys().filter(|rule| !matches!(**rule, "key_value" | "url_userinfo" | "bearer")).collect();
        assert!(named.is_empty(), "{}: {named:?}", sample.name);
    }
}

#[test]
fn runs_of_one_failure_are_one_group_and_samples_are_apart() {
    let mut groups = HashSet::new();
    for sample in &SAMPLES {
        let of = |occurrence| {
            let excerpt: Vec<String> =
                redacted(&sample.log(occurrence)).0.lines().map(|line| truncate(line, 2_000)).collect();
            assert!(excerpt.len() <= 50, "{}: intake keeps 50 lines", sample.name);
            let signal =
                Signal { repo: "acme/shop", title: Some(sample.title), excerpt: &excerpt, ..Signal::default() };
            group(&signal)
        };
        let (first, later) = (of(0), of(sample.times - 1));
        assert_ne!(sample.log(0), sample.log(sample.times - 1), "{}: the runs do not differ", sample.name);
        assert_eq!(first.fingerprint, later.fingerprint, "{}: {:?} {:?}", sample.name, first.parts, later.parts);
        assert_eq!(first.basis == Basis::Exception, sample.language.is_some(), "{}", sample.name);
        groups.insert(first.fingerprint);
    }
    assert_eq!(groups.len(), SAMPLES.len());
}

#[test]
fn each_trace_points_at_a_line_of_its_source() {
    for sample in SAMPLES.iter().filter(|sample| sample.language.is_some()) {
        let trace = parse_trace(&sample.log(0)).unwrap();
        let (path, text) = sample.sources[0];
        let name = path.rsplit('/').next().unwrap();
        let frame = trace.root_cause().unwrap().frames.iter().find(|frame| frame.in_app).unwrap();
        assert_eq!(frame.file.as_deref().and_then(|file| file.rsplit('/').next()), Some(name), "{}", sample.name);
        let line = text.lines().nth(frame.line.unwrap() as usize - 1).unwrap_or_default();
        assert!(!line.trim().is_empty(), "{}: line {:?} of {path} is blank", sample.name, frame.line);
    }
}
