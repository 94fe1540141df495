//! The sink on a real file system.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use serde_json::{Value, json};

use super::*;

/// A directory of its own for each test, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-telemetry-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn record(n: u64) -> String {
    json!({"record_id": format!("bmtel_{n}"), "title": "a\nb", "timestamp_ms": n}).to_string()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("the file");
    assert!(text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

#[test]
fn appends_lines_with_their_time() {
    let dir = Dir::new("append");
    let sink = Telemetry::new(dir.path().join("incident-monitor"));
    for n in 0..3 {
        sink.append("incident-monitor/telemetry", &record(n)).expect("written");
    }
    let file = dir.path().join("incident-monitor/telemetry");
    let written = lines(&file);
    assert_eq!(written.len(), 3);
    assert_eq!(written[2], json!({"record_id": "bmtel_2", "title": "a\nb", "timestamp_ms": 2}));
    assert_eq!(fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o600);
    sink.append("a/b/c.jsonl", &record(9)).expect("written");
    assert_eq!(lines(&dir.path().join("incident-monitor/a/b/c.jsonl")).len(), 1);
}

#[test]
fn a_torn_line_is_closed_off() {
    let dir = Dir::new("torn");
    fs::write(dir.path().join("t"), "{\"half").expect("written");
    Telemetry::new(dir.path()).append("t", &record(1)).expect("written");
    let text = fs::read_to_string(dir.path().join("t")).expect("the file");
    let second: Value = serde_json::from_str(text.lines().nth(1).unwrap_or_default()).expect("a whole line");
    assert_eq!(second["record_id"], "bmtel_1");
}

#[test]
fn paths_that_lead_out_are_refused() {
    let dir = Dir::new("out");
    let sink = Telemetry::new(dir.path().join("data"));
    for path in ["", ".", "/etc/x", "..", "../x", "a/../../x", "a\0b", "a\\b", "incident-monitor/../x"] {
        assert!(matches!(sink.append(path, &record(1)), Err(TelemetryError::Path)), "{path:?}");
    }
    assert!(!dir.path().join("x").exists());
    for line in ["", "{}\n{}", "{}\n"] {
        assert!(matches!(sink.append("t", line), Err(TelemetryError::NotALine)), "{line:?}");
    }
}

#[test]
fn links_and_odd_files_are_refused() {
    let dir = Dir::new("links");
    let (data, outside) = (dir.path().join("data"), dir.path().join("outside"));
    fs::create_dir_all(data.join("folder")).expect("a directory");
    fs::create_dir_all(&outside).expect("a directory");
    symlink(&outside, data.join("escape")).expect("a link");
    symlink(outside.join("target"), data.join("file")).expect("a link");
    let sink = Telemetry::new(&data);
    for path in ["escape/x", "file", "folder"] {
        let result = sink.append(path, &record(1));
        assert!(matches!(result, Err(TelemetryError::NotPlain)), "{path}: {result:?}");
    }
    assert_eq!(fs::read_dir(&outside).expect("the directory").count(), 0);
}

#[test]
fn rotation_keeps_four_and_loses_only_the_oldest() {
    let dir = Dir::new("rotate");
    let one = u64::try_from(record(10).len()).expect("a length") + 1;
    let sink = Telemetry { rotate_bytes: 2 * one, ..Telemetry::new(dir.path()) };
    for n in 10..30 {
        sink.append("t", &record(n)).expect("written");
    }
    let mut kept = Vec::new();
    for name in ["t.4", "t.3", "t.2", "t.1", "t"] {
        kept.extend(lines(&dir.path().join(name)).iter().filter_map(|l| l["timestamp_ms"].as_u64()));
    }
    assert!(!dir.path().join("t.5").exists());
    assert_eq!(kept.len(), 10, "two lines in each of five files");
    let expected: Vec<u64> = (30 - u64::try_from(kept.len()).expect("a length")..30).collect();
    assert_eq!(kept, expected);
}

#[test]
fn writers_at_once_do_not_mix_lines() {
    let dir = Dir::new("many");
    let sink = Telemetry { rotate_bytes: 500, ..Telemetry::new(dir.path()) };
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let sink = &sink;
            scope.spawn(move || {
                for n in 0..5 {
                    sink.append("t", &record(writer * 100 + n)).expect("written");
                }
            });
        }
    });
    let mut ids: Vec<String> = Vec::new();
    for entry in fs::read_dir(dir.path()).expect("the directory") {
        let path = entry.expect("an entry").path();
        ids.extend(lines(&path).iter().map(|line| line["record_id"].to_string()));
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20);
}
