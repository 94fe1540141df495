//! What is printed in the end: one line a figure, with its peer and their ratio.

use std::fmt;

#[derive(Default)]
pub struct Table(Vec<[String; 4]>);

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

pub fn number(value: f64) -> String {
    let whole = value.abs() >= 100.0;
    let text = if whole { format!("{value:.0}") } else { format!("{value:.2}") };
    if !whole {
        return text;
    }
    let digits = text.as_bytes();
    let mut out = String::new();
    for (n, digit) in digits.iter().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) && digits[n - 1] != b'-' {
            out.push(' ');
        }
        out.push(char::from(*digit));
    }
    out
}

impl Table {
    pub fn add(&mut self, name: &str, figure: String, peer: String, target: &str) {
        println!("  {name}: {figure}{}{peer}", if peer.is_empty() { "" } else { "; " });
        self.0.push([name.to_owned(), figure, peer, target.to_owned()]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["measurement", "figure", "beside", "target"].map(str::to_owned);
        let rows: Vec<&[String; 4]> = std::iter::once(&header).chain(&self.0).collect();
        let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..4).map(width).collect();
        for (n, row) in rows.iter().enumerate() {
            write!(f, "|")?;
            for (cell, width) in row.iter().zip(&widths) {
                write!(f, " {cell:width$} |")?;
            }
            writeln!(f)?;
            if n == 0 {
                let rule: String = widths.iter().map(|width| "-".repeat(width + 2) + "|").collect();
                writeln!(f, "|{rule}")?;
            }
        }
        Ok(())
    }
}
