//! What the demo looks like: numbered screens, aligned facts, and expectations that are either met or not.
//!
//! Colours only where a terminal shows them and `NO_COLOR` does not object. Whatever comes from a server or a log is
//! stripped of control characters, so nothing in it can steer the terminal.

use std::{cell::Cell, io::IsTerminal};

use crate::cli::say;

pub struct Output {
    colours: bool,
    screen: Cell<u32>,
    met: Cell<u32>,
    broken: Cell<u32>,
}

/// The ways to emphasise.
#[derive(Clone, Copy)]
pub enum Tone {
    Bold,
    Dim,
    Good,
    Bad,
    Accent,
}

impl Output {
    pub fn new() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self::with_colours(std::io::stdout().is_terminal() && !set("NO_COLOR") && !dumb)
    }

    fn with_colours(colours: bool) -> Self {
        Self { colours, screen: Cell::new(0), met: Cell::new(0), broken: Cell::new(0) }
    }

    pub fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Bold => "1",
            Tone::Dim => "2",
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Accent => "36",
        };
        let text = printable(text);
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text }
    }

    /// A new screen with its heading and the sentence that says what it shows.
    pub fn screen(&self, heading: &str, what: &str) {
        self.screen.set(self.screen.get() + 1);
        let number = format!("{:>2}", self.screen.get());
        say("");
        say(&format!("{}  {}", self.paint(Tone::Accent, &number), self.paint(Tone::Bold, heading)));
        say(&format!("    {}", self.paint(Tone::Dim, what)));
    }

    /// A named value.
    pub fn fact(&self, name: &str, value: &str) {
        say(&format!("    {} {}", self.paint(Tone::Dim, &format!("{name:<12}")), printable(value)));
    }

    /// A line of somebody else's text.
    pub fn quote(&self, line: &str) {
        say(&format!("    {} {}", self.paint(Tone::Dim, "|"), printable(&clip(line, 108))));
    }

    /// A table whose first row is its heading. The last column is as wide as it is.
    pub fn table(&self, rows: &[Vec<String>]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
        for (index, row) in rows.iter().enumerate() {
            let padded = |(at, cell): (usize, &String)| {
                let last = at + 1 == row.len();
                if last { printable(cell) } else { format!("{:<1$}", printable(cell), widths[at]) }
            };
            let line = row.iter().enumerate().map(padded).collect::<Vec<_>>().join("  ");
            say(&format!("    {}", if index == 0 { self.paint(Tone::Dim, &line) } else { line }));
        }
    }

    /// Says whether something that must hold does.
    pub fn expect(&self, holds: bool, what: &str) {
        let (count, mark) =
            if holds { (&self.met, self.paint(Tone::Good, "ok")) } else { (&self.broken, self.paint(Tone::Bad, "NO")) };
        count.set(count.get() + 1);
        say(&format!("    {mark} {}", printable(what)));
    }

    pub fn line(&self, line: &str) {
        say(&format!("    {line}"));
    }

    /// How many expectations were met, and how many were not.
    pub fn tally(&self) -> (u32, u32) {
        (self.met.get(), self.broken.get())
    }
}

pub fn clip(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectations_are_counted_and_colours_are_a_choice() {
        let plain = Output::with_colours(false);
        plain.expect(true, "holds");
        plain.expect(false, "does not hold");
        plain.expect(true, "holds");
        assert_eq!(plain.tally(), (2, 1));
        assert_eq!(plain.paint(Tone::Bad, "x\u{1b}[2J"), "x[2J");
        assert_eq!(Output::with_colours(true).paint(Tone::Good, "x"), "\u{1b}[32mx\u{1b}[0m");
        assert_eq!((clip("äöü", 2), clip("äö", 2)), ("äö…".into(), "äö".into()));
    }
}
