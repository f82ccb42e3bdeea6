//! The registry: the recorder behind the `metrics` facade, and the list of sources.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder, SharedString, Unit};

use crate::encoder::{Encoder, MetricKind};
use crate::latency::LatencyHistogram;

/// The content type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The most series of the facade. Labels have values of closed sets only, so more than this is a fault; further series are
/// not recorded.
const MAX_SERIES: usize = 10_000;

/// A source of metrics.
pub trait Collect: Send + Sync {
    /// Writes the metrics as they are now. It runs on every scrape, so it must not wait.
    fn collect(&self, encoder: &mut Encoder);
}

/// All metrics of a process. Clones share one value.
#[derive(Clone, Default)]
pub struct Registry(Arc<Inner>);

#[derive(Default)]
struct Inner {
    recorded: RwLock<Recorded>,
    sources: Mutex<Vec<Arc<dyn Collect>>>,
}

#[derive(Default)]
struct Recorded {
    help: HashMap<String, SharedString>,
    series: HashMap<Key, Series>,
}

/// The series of one metric, each with its labels.
type Family<'a> = Vec<(Vec<(&'a str, &'a str)>, &'a Series)>;

#[derive(Clone)]
enum Series {
    Counter(Arc<AtomicU64>),
    /// The bits of a float.
    Gauge(Arc<AtomicU64>),
    Latency(Arc<LatencyHistogram>),
}

impl Series {
    const fn kind(&self) -> MetricKind {
        match self {
            Series::Counter(_) => MetricKind::Counter,
            Series::Gauge(_) => MetricKind::Gauge,
            Series::Latency(_) => MetricKind::Histogram,
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

impl Registry {
    /// Adds a source.
    pub fn add(&self, source: Arc<dyn Collect>) {
        self.0.sources.lock().unwrap_or_else(PoisonError::into_inner).push(source);
    }

    /// The text of all metrics as they are now.
    pub fn render(&self) -> String {
        let mut encoder = Encoder::default();
        self.write_recorded(&mut encoder);
        let sources = self.0.sources.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for source in sources {
            source.collect(&mut encoder);
        }
        encoder.finish()
    }

    fn write_recorded(&self, encoder: &mut Encoder) {
        let recorded = self.0.recorded.read().unwrap_or_else(PoisonError::into_inner);
        let mut families: BTreeMap<&str, Family<'_>> = BTreeMap::new();
        for (key, series) in &recorded.series {
            let labels = key.labels().map(|label: &Label| (label.key(), label.value())).collect();
            families.entry(key.name()).or_default().push((labels, series));
        }
        for (name, mut family) in families {
            family.sort_by(|one, other| one.0.cmp(&other.0));
            let Some(kind) = family.first().map(|(_, series)| series.kind()) else { continue };
            let help = recorded.help.get(name).map_or("", |help| help.as_ref());
            let mut samples = encoder.family(name, kind, help);
            for (labels, series) in family.iter().filter(|(_, series)| series.kind() == kind) {
                match series {
                    Series::Counter(count) => samples.sample(labels, count.load(Ordering::Relaxed)),
                    Series::Gauge(bits) => {
                        samples.sample(labels, f64::from_bits(bits.load(Ordering::Relaxed)));
                    }
                    Series::Latency(latency) => {
                        samples.latency(labels, std::iter::once(latency.as_ref()));
                    }
                }
            }
        }
    }

    fn describe(&self, name: &KeyName, help: SharedString) {
        let mut recorded = self.0.recorded.write().unwrap_or_else(PoisonError::into_inner);
        recorded.help.insert(name.as_str().to_owned(), help);
    }

    /// The series of a key; `None` if there are too many.
    fn series(&self, key: &Key, new: impl FnOnce() -> Series) -> Option<Series> {
        let found = self.0.recorded.read().unwrap_or_else(PoisonError::into_inner).series.get(key).cloned();
        if found.is_some() {
            return found;
        }
        let mut recorded = self.0.recorded.write().unwrap_or_else(PoisonError::into_inner);
        let is_full = recorded.series.len() >= MAX_SERIES;
        match recorded.series.get(key) {
            Some(series) => Some(series.clone()),
            None if is_full => None,
            None => Some(recorded.series.entry(key.clone()).or_insert_with(new).clone()),
        }
    }
}

/// A metric that is used as two kinds keeps the first one.
impl Recorder for Registry {
    fn describe_counter(&self, name: KeyName, _unit: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
    }

    fn describe_gauge(&self, name: KeyName, _unit: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
    }

    fn describe_histogram(&self, name: KeyName, _unit: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
    }

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        match self.series(key, || Series::Counter(Arc::default())) {
            Some(Series::Counter(count)) => Counter::from_arc(count),
            Some(Series::Gauge(_) | Series::Latency(_)) | None => Counter::noop(),
        }
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        match self.series(key, || Series::Gauge(Arc::default())) {
            Some(Series::Gauge(bits)) => Gauge::from_arc(bits),
            Some(Series::Counter(_) | Series::Latency(_)) | None => Gauge::noop(),
        }
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        match self.series(key, || Series::Latency(Arc::default())) {
            Some(Series::Latency(latency)) => Histogram::from_arc(latency),
            Some(Series::Counter(_) | Series::Gauge(_)) | None => Histogram::noop(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_facade_records_is_rendered_with_its_help() {
        let registry = Registry::default();
        metrics::with_local_recorder(&registry, || {
            metrics::describe_counter!("sent_total", "Sent.");
            metrics::counter!("sent_total", "to" => "b").increment(2);
            metrics::counter!("sent_total", "to" => "a").increment(0);
            metrics::describe_gauge!("open", "Open.");
            metrics::gauge!("open").set(1.5);
            metrics::histogram!("wait_seconds").record(0.2);
            metrics::histogram!("wait_seconds").record(f64::NAN);
        });
        let text = registry.render();
        assert!(text.starts_with("# HELP open Open.\n# TYPE open gauge\nopen 1.5\n"), "{text}");
        assert!(text.contains(
            "# HELP sent_total Sent.\n# TYPE sent_total counter\nsent_total{to=\"a\"} 0\nsent_total{to=\"b\"} 2\n"
        ));
        assert!(text.contains("wait_seconds_bucket{le=\"0.1\"} 0\nwait_seconds_bucket{le=\"0.25\"} 1\n"));
        assert!(text.contains("wait_seconds_bucket{le=\"60\"} 1\nwait_seconds_bucket{le=\"+Inf\"} 2\n"));
    }

    #[test]
    fn a_metric_has_one_kind() {
        let registry = Registry::default();
        metrics::with_local_recorder(&registry, || {
            metrics::counter!("x").increment(1);
            metrics::gauge!("x").set(7.0);
        });
        assert_eq!(registry.render(), "# HELP x \n# TYPE x counter\nx 1\n");
    }

    #[test]
    fn the_number_of_series_is_bounded() {
        let registry = Registry::default();
        metrics::with_local_recorder(&registry, || {
            for number in 0..=MAX_SERIES {
                metrics::counter!("x", "number" => number.to_string()).increment(1);
            }
        });
        assert_eq!(registry.render().lines().count(), 2 + MAX_SERIES);
    }

    #[test]
    fn sources_are_asked_on_every_scrape() {
        #[derive(Default)]
        struct Scrapes(AtomicU64);
        impl Collect for Scrapes {
            fn collect(&self, encoder: &mut Encoder) {
                let count = self.0.fetch_add(1, Ordering::Relaxed);
                encoder.single("scrapes_total", MetricKind::Counter, "Scrapes.", count);
            }
        }
        let registry = Registry::default();
        registry.add(Arc::new(Scrapes::default()));
        assert!(registry.render().ends_with("scrapes_total 0\n"));
        assert!(registry.render().ends_with("scrapes_total 1\n"));
    }
}
