//! A small registry of counters, gauges and histograms in the Prometheus text form.
//!
//! Handles are cheap to clone and lock-free to move; only the first use of a new label set takes a write lock. Families
//! and series render in the order of their names and labels, so two scrapes of the same state are equal bytes. Labels
//! come from closed sets (route templates, status codes), never from a caller, so the number of series is bounded.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

/// Upper bounds in seconds, from a fast durable answer to a slow publish.
pub const LATENCY_SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
    pub fn inc(&self) {
        self.add(1);
    }
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }
    pub fn add(&self, change: i64) {
        self.0.fetch_add(change, Ordering::Relaxed);
    }
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A counter that is kept elsewhere (in the store, by another engine) and set for each scrape.
#[derive(Clone, Debug, Default)]
pub struct Total(Gauge);

impl Total {
    pub fn set(&self, value: i64) {
        self.0.set(value);
    }
}

#[derive(Clone, Debug)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    bounds: &'static [f64],
    counts: Vec<AtomicU64>,
    /// Nanoseconds, or billionths of whatever unit is observed.
    sum_nano: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Buckets { bounds, counts, sum_nano: AtomicU64::new(0) }))
    }

    pub fn observe(&self, value: f64) {
        let bucket = self.0.bounds.partition_point(|bound| *bound < value);
        self.0.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.0.sum_nano.fetch_add((value.max(0.0) * 1e9) as u64, Ordering::Relaxed);
    }
}

/// Something that can be rendered as the lines of one series.
trait Series: Clone + Send + Sync + 'static {
    const TYPE: &'static str;
    fn render(&self, out: &mut String, name: &str, labels: &str);
}

/// `{a="b"}` or nothing.
fn braced(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

impl Series for Counter {
    const TYPE: &'static str = "counter";
    fn render(&self, out: &mut String, name: &str, labels: &str) {
        let _ = writeln!(out, "{name}{} {}", braced(labels), self.get());
    }
}

impl Series for Total {
    const TYPE: &'static str = "counter";
    fn render(&self, out: &mut String, name: &str, labels: &str) {
        let _ = writeln!(out, "{name}{} {}", braced(labels), self.0.get());
    }
}

impl Series for Gauge {
    const TYPE: &'static str = "gauge";
    fn render(&self, out: &mut String, name: &str, labels: &str) {
        let _ = writeln!(out, "{name}{} {}", braced(labels), self.get());
    }
}

impl Series for Histogram {
    const TYPE: &'static str = "histogram";
    fn render(&self, out: &mut String, name: &str, labels: &str) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut total = 0;
        for (index, count) in self.0.counts.iter().enumerate() {
            total += count.load(Ordering::Relaxed);
            let bound = self.0.bounds.get(index).map_or("+Inf".to_owned(), f64::to_string);
            let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {total}");
        }
        let sum = self.0.sum_nano.load(Ordering::Relaxed) as f64 / 1e9;
        let _ = writeln!(out, "{name}_sum{} {sum}", braced(labels));
        let _ = writeln!(out, "{name}_count{} {total}", braced(labels));
    }
}

/// The series of one name, told apart by labels.
pub struct Family<S> {
    labels: &'static [&'static str],
    make: fn() -> S,
    series: Arc<RwLock<BTreeMap<String, S>>>,
}

impl<S> Clone for Family<S> {
    fn clone(&self) -> Self {
        Self { labels: self.labels, make: self.make, series: Arc::clone(&self.series) }
    }
}

impl<S: Clone> Family<S> {
    /// Forgets every series: for families that are filled anew for each scrape.
    pub fn clear(&self) {
        self.series.write().unwrap_or_else(|poisoned| poisoned.into_inner()).clear();
    }

    /// The series with these label values, in the order of the family's label names.
    pub fn with(&self, values: &[&str]) -> S {
        debug_assert_eq!(values.len(), self.labels.len());
        let mut key = String::with_capacity(64);
        for (name, value) in self.labels.iter().zip(values) {
            let comma = if key.is_empty() { "" } else { "," };
            let _ = write!(key, "{comma}{name}=\"");
            for c in value.chars() {
                match c {
                    '\\' => key.push_str("\\\\"),
                    '"' => key.push_str("\\\""),
                    '\n' => key.push_str("\\n"),
                    c => key.push(c),
                }
            }
            key.push('"');
        }
        // A poisoned lock only means that another thread died between two atomic steps; the map itself is whole.
        if let Some(series) = self.series.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(&key) {
            return series.clone();
        }
        let mut series = self.series.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        series.entry(key).or_insert_with(self.make).clone()
    }
}

type Render = Box<dyn Fn(&mut String, &str) + Send + Sync>;

struct Registered {
    help: &'static str,
    kind: &'static str,
    render: Render,
    /// The family itself, so that registering a name twice yields the same one.
    family: Box<dyn std::any::Any + Send + Sync>,
}

/// Every family of the process.
#[derive(Clone, Default)]
pub struct Metrics(Arc<RwLock<BTreeMap<&'static str, Registered>>>);

impl Metrics {
    pub fn counters(&self, name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Family<Counter> {
        self.family(name, help, labels, Counter::default)
    }
    pub fn gauges(&self, name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Family<Gauge> {
        self.family(name, help, labels, Gauge::default)
    }
    /// Counters that are kept elsewhere, and set for each scrape.
    pub fn totals(&self, name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Family<Total> {
        self.family(name, help, labels, Total::default)
    }
    /// Histograms of seconds.
    pub fn latencies(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Family<Histogram> {
        self.family(name, help, labels, || Histogram::new(LATENCY_SECONDS))
    }
    pub fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        self.gauges(name, help, &[]).with(&[])
    }

    fn family<S: Series>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        make: fn() -> S,
    ) -> Family<S> {
        let mut families = self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(known) = families.get(name).and_then(|known| known.family.downcast_ref::<Family<S>>()) {
            return known.clone();
        }
        let family = Family { labels, make, series: Arc::default() };
        let shown = family.clone();
        let render: Render = Box::new(move |out, name| {
            for (labels, series) in shown.series.read().unwrap_or_else(|poisoned| poisoned.into_inner()).iter() {
                series.render(out, name, labels);
            }
        });
        families.insert(name, Registered { help, kind: S::TYPE, render, family: Box::new(family.clone()) });
        family
    }

    pub fn render(&self) -> String {
        let mut out = String::new();
        for (name, family) in self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner()).iter() {
            let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {}", family.help, family.kind);
            (family.render)(&mut out, name);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_in_a_fixed_order() {
        let metrics = Metrics::default();
        let requests = metrics.counters("b_total", "Requests.", &["route", "status"]);
        requests.with(&["/z", "200"]).inc();
        requests.with(&["/a\"\\\n", "404"]).add(2);
        metrics.gauge("a", "A gauge.").set(-3);
        metrics.counters("b_total", "Requests.", &["route", "status"]).with(&["/z", "200"]).inc();
        assert_eq!(
            metrics.render(),
            "# HELP a A gauge.\n# TYPE a gauge\na -3\n# HELP b_total Requests.\n# TYPE b_total counter\n\
             b_total{route=\"/a\\\"\\\\\\n\",status=\"404\"} 2\nb_total{route=\"/z\",status=\"200\"} 2\n"
        );
    }

    #[test]
    fn histogram_buckets_are_cumulative_and_bounds_inclusive() {
        let metrics = Metrics::default();
        let seconds = metrics.latencies("s", "S.", &["m"]).with(&["GET"]);
        for value in [0.0005, 0.002, 99.0] {
            seconds.observe(value);
        }
        let text = metrics.render();
        assert!(text.contains("s_bucket{m=\"GET\",le=\"0.0005\"} 1\n"), "{text}");
        assert!(text.contains("s_bucket{m=\"GET\",le=\"0.0025\"} 2\n"));
        assert!(text.contains("s_bucket{m=\"GET\",le=\"+Inf\"} 3\n"));
        assert!(text.contains("s_count{m=\"GET\"} 3\n"));
    }
}
