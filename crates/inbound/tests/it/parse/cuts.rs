//! Reading goes on where it ended: in the same process, or in the next one from what was not decided yet.

use super::{logs::ALL, *};

/// Without what depends on where reading began.
fn bare(mut found: Vec<Found>) -> Vec<Found> {
    for found in &mut found {
        found.context.clear();
    }
    found
}

#[test]
fn a_restart_at_any_line_finds_the_same() {
    for (name, log, _) in ALL {
        let whole = bare(read(&spec(Level::Error), log.as_bytes()));
        let all = lines(log.as_bytes());
        for cut in 0..=all.len() {
            let (mut first, mut out) = (Assembler::new(&spec(Level::Error)), Vec::new());
            for line in &all[..cut] {
                first.push(line, NOW, &mut out);
            }
            first.flush_due(NOW, &mut out);
            let read_to = cut.checked_sub(1).map_or(0, |last| all[last].end);
            let from = first.held_from().unwrap_or(read_to);
            assert!(out.iter().all(|found| found.end <= from), "{name}: what was told is held at line {cut}");
            let mut second = Assembler::new(&spec(Level::Error));
            for line in &all {
                if line.end <= from {
                    second.remember(line);
                } else {
                    second.push(line, NOW, &mut out);
                }
            }
            second.finish(&mut out);
            assert_eq!(bare(out), whole, "{name}, restarted behind line {cut}, from {from}");
        }
    }
}

#[test]
fn what_is_held_moves_only_forward() {
    for (name, log, _) in ALL {
        let (mut assembler, mut out, mut before) = (Assembler::new(&spec(Level::Error)), Vec::new(), 0);
        for line in lines(log.as_bytes()) {
            assembler.push(&line, NOW, &mut out);
            let decided = assembler.held_from().unwrap_or(line.end);
            assert!(before <= decided && decided <= line.end, "{name}: {before} then {decided} of {}", line.end);
            before = decided;
        }
    }
}

#[test]
fn a_pause_tells_what_is_held_and_the_rest_of_a_trace_makes_no_second_failure() {
    let log = "ERROR job failed\nTraceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\n";
    let rest = "KeyError: 'x'\nINFO next\n";
    let (mut assembler, mut out) = (Assembler::new(&spec(Level::Error)), Vec::new());
    for line in lines(log.as_bytes()) {
        assembler.push(&line, NOW, &mut out);
    }
    assembler.flush_due(NOW + 4_999, &mut out);
    assert_eq!((out.len(), assembler.held_from()), (0, Some(0)), "the name of the exception is worth waiting for");
    assembler.flush_due(NOW + 5_000, &mut out);
    assert_eq!((out.len(), assembler.held_from()), (1, None));
    let whole = format!("{log}{rest}");
    for line in lines(whole.as_bytes()).into_iter().skip(4) {
        assembler.push(&line, NOW + 9_000, &mut out);
    }
    assembler.finish(&mut out);
    assert_eq!(out.len(), 1);
    // A line that says everything is told after a second.
    let (mut assembler, mut out) = (Assembler::new(&spec(Level::Error)), Vec::new());
    assembler.push(&lines(b"ERROR all is said\n")[0], NOW, &mut out);
    assembler.flush_due(NOW + 999, &mut out);
    assert!(out.is_empty());
    assembler.flush_due(NOW + 1_000, &mut out);
    assert_eq!(out.len(), 1);
}

#[test]
fn what_comes_long_after_a_failure_is_another_one() {
    let cases = [
        (
            "2026-11-21T10:00:00Z ERROR payment failed\n",
            "TypeError: x is not a function\n    at f (x.js:1:2)\n",
            "TypeError",
        ),
        ("app/x.rb:1:in 'f': one (RuntimeError)\n", "app/y.rb:3:in 'g': two (KeyError)\n", "two"),
    ];
    for (first, later, wanted) in cases {
        let (mut assembler, mut out) = (Assembler::new(&spec(Level::Error)), Vec::new());
        for line in lines(first.as_bytes()) {
            assembler.push(&line, NOW, &mut out);
        }
        assembler.flush_due(NOW + 10_000, &mut out);
        assert_eq!(out.len(), 1, "{first}");
        let mut all = lines(later.as_bytes());
        for line in &mut all {
            (line.start, line.end) = (line.start + first.len() as u64, line.end + first.len() as u64);
            assembler.push(line, NOW + 120_000, &mut out);
        }
        assembler.finish(&mut out);
        assert_eq!(out.len(), 2, "{later}");
        assert!(out[1].text.contains(wanted), "{:?}", out[1].text);
    }
}
