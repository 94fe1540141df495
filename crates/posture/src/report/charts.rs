//! Small charts as inline SVG: nothing is loaded, nothing runs, and a printer draws them.

use super::html::escape;

const WIDTH: u32 = 640;
const LABEL: u32 = 190;
const ROW: u32 = 26;

/// A bar: what it counts, how many, and the name of its colour in the page's style.
pub struct Bar {
    pub label: String,
    pub value: f64,
    /// The text at its end.
    pub shown: String,
    pub class: &'static str,
}

/// Bars beneath each other, the longest over the whole width.
pub fn bars(title: &str, rows: &[Bar]) -> String {
    let most = rows.iter().map(|row| row.value).fold(0.0_f64, f64::max);
    scaled(title, rows, most)
}

/// Bars of shares: 1 is the whole width.
pub fn shares(title: &str, rows: &[Bar]) -> String {
    scaled(title, rows, 1.0)
}

fn scaled(title: &str, rows: &[Bar], most: f64) -> String {
    let height = 8 + ROW * u32::try_from(rows.len()).unwrap_or(0).max(1);
    let room = f64::from(WIDTH - LABEL - 90);
    let mut out = format!(
        "<svg class=\"chart\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {WIDTH} {height}\" \
         xmlns=\"http://www.w3.org/2000/svg\"><title>{}</title>",
        escape(title),
        escape(title)
    );
    if rows.is_empty() {
        out.push_str("<text x=\"0\" y=\"20\" class=\"none\">none</text>");
    }
    for (n, row) in rows.iter().enumerate() {
        let y = 4 + ROW * u32::try_from(n).unwrap_or(0);
        let length = if most > 0.0 { (row.value / most).clamp(0.0, 1.0) * room } else { 0.0 };
        out.push_str(&format!(
            "<text x=\"{}\" y=\"{}\" class=\"label\">{}</text>\
             <rect x=\"{LABEL}\" y=\"{y}\" width=\"{length:.1}\" height=\"18\" class=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{}\" class=\"value\">{}</text>",
            LABEL - 8,
            y + 14,
            escape(&shortened(&row.label)),
            row.class,
            f64::from(LABEL) + length + 6.0,
            y + 14,
            escape(&row.shown),
        ));
    }
    out.push_str("</svg>");
    out
}

/// As much of a label as there is room for.
fn shortened(label: &str) -> String {
    const MOST: usize = 30;
    if label.chars().count() <= MOST {
        return label.to_owned();
    }
    label.chars().take(MOST - 1).chain(std::iter::once('…')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_fit_and_names_are_text() {
        let rows = [
            Bar { label: "<script>".into(), value: 4.0, shown: "4".into(), class: "high" },
            Bar { label: "x".repeat(80), value: 0.0, shown: "0".into(), class: "low" },
        ];
        let svg = bars("a \"title\"", &rows);
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;"), "{svg}");
        assert!(svg.contains("width=\"360.0\"") && svg.contains("width=\"0.0\""), "{svg}");
        assert!(svg.contains("aria-label=\"a &quot;title&quot;\""), "{svg}");
        assert!(bars("t", &[]).contains("none"));
    }
}
