//! On what the figures were taken.

use std::fs::read_to_string;

fn line(path: &str, key: &str) -> String {
    let text = read_to_string(path).unwrap_or_default();
    let found = text.lines().find(|line| line.starts_with(key)).and_then(|line| line.split_once(':'));
    found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

pub fn facts() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "{} × {}, {} of memory, Linux {}, load {load} before the run",
        cores,
        line("/proc/cpuinfo", "model name"),
        line("/proc/meminfo", "MemTotal"),
        kernel.trim(),
    )
}

/// Milliseconds to write four kilobytes durably: what every answer waits for at least once. The median of many.
pub fn flush_ms(directory: &std::path::Path) -> std::io::Result<f64> {
    use std::io::Write as _;
    let path = directory.join("flush");
    let mut file = std::fs::File::create(&path)?;
    let mut took = Vec::new();
    for _ in 0..200 {
        let begun = std::time::Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        took.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    std::fs::remove_file(path)?;
    took.sort_by(f64::total_cmp);
    Ok(took[took.len() / 2])
}
