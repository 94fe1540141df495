//! What ran, how long it took, and what came of it. Every step is timed; the last line of a run is the totals.

use std::time::{Duration, Instant};

use crate::process::Shown;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
}

impl Counts {
    /// From nextest's summary line.
    pub fn of_nextest(lines: &[String]) -> Option<Self> {
        let line = lines.iter().rev().find(|line| line.contains("tests run:") || line.contains("test run:"))?;
        let failed = ["failed", "timed out", "exec failed"].iter().filter_map(|word| number_before(line, word)).sum();
        Some(Self { passed: number_before(line, "passed")?, failed })
    }

    /// From the result line of each test binary.
    pub fn of_cargo_test(lines: &[String]) -> Option<Self> {
        let results: Vec<&String> = lines.iter().filter(|line| line.starts_with("test result:")).collect();
        let sum = |word| results.iter().filter_map(|line| number_before(line, word)).sum();
        Some(Self { passed: sum("passed"), failed: sum("failed") })
    }

    /// From the closing line of the client suites: `N passed, M failed`.
    pub fn of_closing_line(lines: &[String]) -> Option<Self> {
        let line = lines.iter().rev().find(|line| line.contains(" passed, "))?;
        Some(Self { passed: number_before(line, "passed")?, failed: number_before(line, "failed")? })
    }
}

/// The number that stands right before `word`.
fn number_before(line: &str, word: &str) -> Option<usize> {
    line.match_indices(word).find_map(|(at, _)| line[..at].trim_end().rsplit(' ').next()?.parse().ok())
}

#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
    closing: Vec<String>,
}

struct Row {
    step: String,
    outcome: Outcome,
    took: Duration,
}

enum Outcome {
    Ran(Counts),
    Skipped(String),
}

impl Report {
    /// A step that either holds or does not.
    pub fn gate(&mut self, step: &str, run: impl FnOnce() -> Result<(), String>) {
        self.need(step, run);
    }

    /// A step whose result later steps need; they are left out when it failed.
    pub fn need<T>(&mut self, step: &str, run: impl FnOnce() -> Result<T, String>) -> Option<T> {
        let started = begin(step);
        let (counts, value) = match run() {
            Ok(value) => (Counts { passed: 1, failed: 0 }, Some(value)),
            Err(why) => {
                println!("{why}");
                (Counts { passed: 0, failed: 1 }, None)
            }
        };
        self.end(step, started, counts);
        value
    }

    /// A test runner, with a way to read its counts. Its closing lines are shown again at the end.
    pub fn suite(
        &mut self,
        step: &str,
        read: impl FnOnce(&[String]) -> Option<Counts>,
        run: impl FnOnce() -> Result<Shown, String>,
    ) {
        let started = begin(step);
        let counts = match run() {
            Ok(shown) => {
                self.closing.push(format!("── {step}"));
                self.closing.extend(closing_lines(&shown.lines));
                let read = read(&shown.lines).unwrap_or_default();
                // A runner that ended badly without naming a failed test did not compile, or crashed.
                let unnamed = usize::from(!shown.ok && read.failed == 0);
                Counts { failed: read.failed + unnamed, ..read }
            }
            Err(why) => {
                println!("{why}");
                Counts { passed: 0, failed: 1 }
            }
        };
        self.end(step, started, counts);
    }

    pub fn skip(&mut self, step: &str, why: &str) {
        println!("\n══ {step}: skipped, {why}");
        self.rows.push(Row { step: step.to_owned(), outcome: Outcome::Skipped(why.to_owned()), took: Duration::ZERO });
    }

    fn end(&mut self, step: &str, started: Instant, counts: Counts) {
        let took = started.elapsed();
        println!("══ {step}: {} in {:.1} s", verdict(counts), took.as_secs_f64());
        self.rows.push(Row { step: step.to_owned(), outcome: Outcome::Ran(counts), took });
    }

    /// Prints the summary. The last line is the plain totals, also when something failed.
    pub fn close(self) -> Result<(), String> {
        println!("\n{}\n\n══ summary", self.closing.join("\n"));
        let mut total = Counts::default();
        for Row { step, outcome, took } in &self.rows {
            match outcome {
                Outcome::Ran(counts) => {
                    println!("{:>8.1} s  {step}: {}", took.as_secs_f64(), verdict(*counts));
                    total.passed += counts.passed;
                    total.failed += counts.failed;
                }
                Outcome::Skipped(why) => println!("{:>10}  {step}: skipped, {why}", "–"),
            }
        }
        let line = format!("{} passed, {} failed", total.passed, total.failed);
        if total.failed > 0 {
            return Err(line);
        }
        println!("{line}");
        Ok(())
    }
}

fn begin(step: &str) -> Instant {
    println!("\n══ {step}");
    Instant::now()
}

fn verdict(counts: Counts) -> String {
    match counts {
        Counts { passed: 1, failed: 0 } => "ok".into(),
        Counts { passed: 0, failed: 1 } => "FAILED".into(),
        Counts { passed, failed } => format!("{passed} passed, {failed} failed"),
    }
}

/// The lines that a reader of the whole log looks for.
fn closing_lines(lines: &[String]) -> Vec<String> {
    let telling = |line: &&String| {
        let words = ["tests run:", "test result:", " passed, ", "FAIL ", "not ok", "TIMEOUT "];
        words.iter().any(|word| line.contains(word)) && !line.contains(" 0 passed")
    };
    let found: Vec<String> = lines.iter().filter(telling).cloned().collect();
    found[found.len().saturating_sub(40)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn closing_lines_are_read() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let nextest = "Summary [   1.2s] 12 tests run: 9 passed (1 slow), 2 failed, 1 timed out, 4 skipped\nerror: x";
        assert_eq!(Counts::of_nextest(&lines(nextest)), Some(Counts { passed: 9, failed: 3 }));
        let nextest = "     Summary [   0.5s] 1 test run: 1 passed, 0 skipped";
        assert_eq!(Counts::of_nextest(&lines(nextest)), Some(Counts { passed: 1, failed: 0 }));
        assert_eq!(Counts::of_nextest(&lines("error: could not compile")), None);
        let cargo = "test result: ok. 3 passed; 0 failed; 0 ignored\ntest result: FAILED. 1 passed; 2 failed; 0 x";
        assert_eq!(Counts::of_cargo_test(&lines(cargo)), Some(Counts { passed: 4, failed: 2 }));
        let client = "ok 1 - a\nnot ok 2 - b\n# 1 passed, 1 failed";
        assert_eq!(Counts::of_closing_line(&lines(client)), Some(Counts { passed: 1, failed: 1 }));
    }
}
