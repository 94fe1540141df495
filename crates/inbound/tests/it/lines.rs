//! Any bytes, any limit, any budget: the lines are those that a plain loop over the bytes would find.

use std::{fs, ops::ControlFlow};

use proptest::prelude::*;
use tandem_core::{
    config::StartPosition,
    source::file::{FileState, SourcePosition},
};
use tandem_inbound::{
    Line,
    tail::{Budget, Limits, Sink, SourceSpec, Tailer, Verdict},
};

use crate::world::{Scratch, now_ms};

#[derive(Default)]
struct All(Vec<(u64, u64, Vec<u8>, bool)>);

impl Sink for All {
    fn start(&mut self, _: &FileState) {}

    fn line(&mut self, _: &FileState, line: Line<'_>) -> ControlFlow<()> {
        self.0.push((line.start, line.end, line.bytes.to_vec(), line.truncated));
        ControlFlow::Continue(())
    }

    fn unfinished(&mut self, _: &FileState, _: Line<'_>) -> Verdict {
        Verdict::Wait
    }

    fn end(&mut self, _: &FileState) {}

    fn held_from(&self, _: &FileState) -> Option<u64> {
        None
    }
}

/// The obvious way.
fn expected(bytes: &[u8], limit: usize) -> Vec<(u64, u64, Vec<u8>, bool)> {
    let mut at = 0;
    let mut lines = Vec::new();
    for piece in bytes.split_inclusive(|&b| b == b'\n') {
        let end = at + piece.len();
        let holes = piece.iter().take_while(|&&b| b == 0).count();
        let text = &piece[holes..];
        let start = (at + holes) as u64;
        let whole = text.ends_with(b"\n");
        let line = text.strip_suffix(b"\n").unwrap_or(text);
        at = end;
        if line.len() > limit {
            lines.push((start, start + limit as u64, line[..limit].to_vec(), true));
        } else if whole {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            lines.push((start, end as u64, line.to_vec(), false));
        }
    }
    lines
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => Just(b'\n'), 1 => Just(0), 1 => Just(b'\r'), 6 => any::<u8>()];
    let run = prop_oneof![8 => Just(1_usize), 1 => 1..200_usize];
    let runs = proptest::collection::vec((byte, run), 0..120);
    runs.prop_map(|runs| runs.into_iter().flat_map(|(byte, times)| std::iter::repeat_n(byte, times)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_become_the_same_lines(
        bytes in bytes(),
        limit in prop_oneof![1..40_usize, Just(1_000), Just(1_048_576)],
        cuts in proptest::collection::vec(0..4_000_usize, 0..6),
        budget in prop_oneof![1..200_u64, Just(u64::MAX)],
        restarts in any::<bool>(),
    ) {
        let scratch = Scratch::new("lines");
        let limits = Limits { line_bytes: limit, ..Limits::default() };
        let (root, path) = (scratch.root().to_owned(), "a.log".to_owned());
        let spec = SourceSpec { root, path, start: StartPosition::Beginning, limits };
        let mut tailer = Tailer::open(spec.clone()).expect("opens");
        let mut position = SourcePosition::new("a.log");
        let mut all = All::default();
        let mut ends: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let mut written = 0;
        for end in ends {
            let mut file = fs::OpenOptions::new().create(true).append(true).open(scratch.path("a.log")).expect("opens");
            std::io::Write::write_all(&mut file, &bytes[written..end]).expect("writes");
            written = end;
            if restarts {
                tailer = Tailer::open(spec.clone()).expect("opens");
            }
            while tailer.read(&mut position, now_ms(), &Budget::bytes(budget), &mut all).expect("reads").more {}
        }
        prop_assert_eq!(all.0, expected(&bytes, limit));
    }
}
