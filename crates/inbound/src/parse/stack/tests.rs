//! Where a trace ends, line by line.

use super::*;

/// `P`art, `M`aybe, `N`o for each line after the first.
fn steps(text: &str) -> String {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let mut shape = Shape::start(first).unwrap_or(Shape::Plain(Plain::new(true, true)));
    let mut waiting = false;
    lines
        .map(|text| {
            let step = shape.step(View { text, prefixed: false, levelled: false, waiting });
            waiting = step == Step::Maybe && (waiting || !text.trim().is_empty());
            match step {
                Step::Part => 'P',
                Step::Maybe => 'M',
                Step::No => 'N',
            }
        })
        .collect()
}

#[test]
fn each_language_ends_where_its_trace_ends() {
    for (text, expected) in [
        (
            "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    x()\nKeyError: 'x'\nother line",
            "PPPN",
        ),
        (
            "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nKeyError: 'x'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"a.py\", line 2, in g\nValueError: y",
            "PPMMMPPP",
        ),
        (
            "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nKeyError\nTraceback (most recent call last):",
            "PPN",
        ),
        (
            "request failed\ncom.acme.Boom: x\n\tat com.acme.A.b(A.java:1)\nCaused by: java.io.IOException: y\n\tat com.acme.C.d(C.java:2)\n\t... 3 more\nnext",
            "MPPPPN",
        ),
        ("TypeError: x\n    at f (/app/a.js:1:2) {\n  code: 'X'\n}\n\nNode.js v22.1.0\nnext", "PPPMPN"),
        (
            "panic: boom\n\ngoroutine 1 [running]:\nmain.f(0x1)\n\t/app/a.go:1 +0x1\ncreated by main.main\n\t/app/a.go:2\n\ngoroutine 2 [select]:\nmain.g()\n\t/app/a.go:3\nexit status 2\nnext",
            "MPMPPPMPMPPN",
        ),
        ("thread 'main' panicked at src/main.rs:1:2:\nboom\nnote: run with `RUST_BACKTRACE=1`\nnext", "PPN"),
        (
            "thread 'main' panicked at src/main.rs:1:2:\nassertion failed\n  left: 1\n right: 2\nstack backtrace:\n   0: main::f\n             at ./src/main.rs:1:2\nnext",
            "PPPPPPN",
        ),
        (
            "app/a.rb:1:in `f': boom (KeyError)\n\tfrom app/a.rb:2:in `g'\napp/a.rb:9:in `f': first (IOError)\nnext",
            "PPN",
        ),
    ] {
        assert_eq!(steps(text), expected, "{text}");
    }
}
