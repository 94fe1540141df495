//! A log of JSON lines as a busy service writes it: requests, and now and then one of two hundred faults.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

/// How many faults there are.
pub const FAULTS: u64 = 200;
/// One line in so many is a failure.
pub const EVERY: u64 = 50;
/// What each failure has and no other line.
pub const MARK: &str = "\"level\":\"error\"";

/// A small generator, so that every run reads the same file.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Writes at least so many bytes; says how many lines are failures.
pub fn write(path: &Path, bytes: u64) -> std::io::Result<u64> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut written, mut line, mut failures) = (0_u64, 0_u64, 0);
    let mut text = Vec::with_capacity(1_024);
    while written < bytes {
        let (a, b) = (dice.next(), dice.next());
        let ms = 1_773_479_521_000 + line;
        text.clear();
        write!(text, "{{\"time\":{ms},")?;
        if line % EVERY == EVERY - 1 {
            let fault = a % FAULTS;
            failures += 1;
            write!(
                text,
                "{MARK},\"msg\":\"request failed\",\"service\":\"orders\",\"request_id\":\"{b:016x}\",\"err\":{{\"type\":\
                 \"TypeError\",\"message\":\"no total in {b:08x}\",\"stack\":\"TypeError: no total\\n    at step{fault} \
                 (/app/src/orders/step{fault}.js:{}:18)\\n    at create (/app/src/api.js:12:5)\\n    at run \
                 (/app/node_modules/express/lib/router/layer.js:95:5)\"}}}}",
                a % 400
            )?;
        } else {
            write!(
                text,
                "\"level\":\"info\",\"msg\":\"request completed\",\"service\":\"orders\",\"request_id\":\"{b:016x}\",\"method\":\
                 \"GET\",\"path\":\"/v1/orders/{}\",\"status\":200,\"duration_ms\":{},\"user\":\"u-{}\",\"region\":\"eu-west-1\",\
                 \"pod\":\"orders-7d9f8b6c5-x2k4j\"}}",
                a % 1_000_000,
                b % 800,
                a % 50_000
            )?;
        }
        text.push(b'\n');
        file.write_all(&text)?;
        written += text.len() as u64;
        line += 1;
    }
    file.flush()?;
    Ok(failures)
}
