//! The last few lines, kept without allocating, because nearly every line passes through here and is never asked for.

use tandem_core::fingerprint::without_colours;

/// How much of a line is kept, in bytes.
const LINE: usize = 1_024;

#[derive(Debug, Default)]
struct Kept {
    start: u64,
    end: u64,
    bytes: Vec<u8>,
}

/// A ring of lines.
#[derive(Debug)]
pub struct Context {
    ring: Vec<Kept>,
    /// Where the next line goes.
    next: usize,
    held: usize,
}

impl Context {
    pub fn new(lines: usize) -> Self {
        // One is always needed: the line above a frame.
        Self { ring: (0..lines.max(1)).map(|_| Kept::default()).collect(), next: 0, held: 0 }
    }

    pub fn push(&mut self, start: u64, end: u64, bytes: &[u8]) {
        let kept = &mut self.ring[self.next];
        (kept.start, kept.end) = (start, end);
        kept.bytes.clear();
        kept.bytes.extend_from_slice(&bytes[..bytes.len().min(LINE)]);
        self.next = (self.next + 1) % self.ring.len();
        self.held = (self.held + 1).min(self.ring.len());
    }

    /// The last line with its place, taken out.
    pub fn pop(&mut self) -> Option<(u64, u64, Vec<u8>)> {
        self.held = self.held.checked_sub(1)?;
        self.next = (self.next + self.ring.len() - 1) % self.ring.len();
        let kept = std::mem::take(&mut self.ring[self.next]);
        Some((kept.start, kept.end, kept.bytes))
    }

    /// The lines as text, oldest first, blank ones left out.
    pub fn lines(&self) -> Vec<String> {
        let length = self.ring.len();
        (0..self.held)
            .map(|n| &self.ring[(self.next + length - self.held + n) % length].bytes)
            .map(|bytes| without_colours(&String::from_utf8_lossy(bytes)).trim_end().to_owned())
            .filter(|line| !line.is_empty())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_keeps_the_last() {
        let mut context = Context::new(3);
        assert_eq!(context.pop(), None);
        for n in 0..5_u64 {
            context.push(n, n + 1, format!("line {n}").as_bytes());
        }
        assert_eq!(context.lines(), ["line 2", "line 3", "line 4"]);
        assert_eq!(context.pop(), Some((4, 5, b"line 4".to_vec())));
        assert_eq!(context.lines(), ["line 2", "line 3"]);
        context.push(9, 10, b"\x1b[31mred\x1b[0m \xff");
        assert_eq!(context.lines(), ["line 2", "line 3", "red \u{fffd}"]);
    }
}
