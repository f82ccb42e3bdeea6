//! Writes the Prometheus text exposition format 0.0.4.

use std::fmt::Write as _;

use crate::latency::LatencyHistogram;

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Never decreases, except to zero at a restart.
    Counter,
    /// Increases and decreases.
    Gauge,
    /// Counts by upper bound.
    Histogram,
}

impl MetricKind {
    /// The name in a `TYPE` line.
    pub const fn name(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }
}

/// The value of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SampleValue {
    /// An exact count.
    Integer(u64),
    /// A measured value.
    Float(f64),
}

impl From<u64> for SampleValue {
    fn from(value: u64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for SampleValue {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

/// The text of one scrape.
#[derive(Debug, Default)]
pub struct Encoder {
    text: String,
}

/// A metric whose samples are being written.
#[derive(Debug)]
pub struct Family<'e> {
    text: &'e mut String,
    name: &'e str,
}

impl Encoder {
    /// Begins a metric. All samples of a metric must be written together, and each metric once.
    pub fn family<'e>(&'e mut self, name: &'e str, kind: MetricKind, help: &str) -> Family<'e> {
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        // Writing to memory that grows cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
        Family { text: &mut self.text, name }
    }

    /// Writes a metric with one sample and no labels.
    pub fn single(&mut self, name: &str, kind: MetricKind, help: &str, value: impl Into<SampleValue>) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// The complete text.
    pub fn finish(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// Writes a sample of a counter or a gauge.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<SampleValue>) {
        self.write("", labels, None, value.into());
    }

    /// Writes the samples of a histogram that is the sum of `parts`.
    pub fn latency<'h>(
        &mut self,
        labels: &[(&str, &str)],
        parts: impl Iterator<Item = &'h LatencyHistogram> + Clone,
    ) {
        let mut count = 0;
        for (place, bound) in LatencyHistogram::bounds().enumerate() {
            count += parts.clone().map(|part| part.bucket(place)).sum::<u64>();
            self.write("_bucket", labels, Some(bound), count.into());
        }
        let sum = LatencyHistogram::sum(parts).as_secs_f64();
        self.write("_sum", labels, None, sum.into());
        self.write("_count", labels, None, count.into());
    }

    fn write(&mut self, suffix: &str, labels: &[(&str, &str)], bound: Option<&str>, value: SampleValue) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let bound = bound.map(|bound| ("le", bound));
        let mut separator = '{';
        for (name, value) in labels.iter().copied().chain(bound) {
            self.text.push(separator);
            separator = ',';
            self.text.push_str(name);
            self.text.push_str("=\"");
            self.push_escaped(value);
            self.text.push('"');
        }
        if separator == ',' {
            self.text.push('}');
        }
        self.text.push(' ');
        self.push_value(value);
        self.text.push('\n');
    }

    fn push_escaped(&mut self, value: &str) {
        for character in value.chars() {
            match character {
                '\\' => self.text.push_str(r"\\"),
                '"' => self.text.push_str("\\\""),
                '\n' => self.text.push_str(r"\n"),
                other => self.text.push(other),
            }
        }
    }

    fn push_value(&mut self, value: SampleValue) {
        let _ = match value {
            SampleValue::Integer(value) => write!(self.text, "{value}"),
            SampleValue::Float(value) if value.is_infinite() => {
                self.text.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
            }
            SampleValue::Float(value) => write!(self.text, "{value}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_metric_has_help_and_type_before_its_samples() {
        let mut encoder = Encoder::default();
        let mut family = encoder.family("calls_total", MetricKind::Counter, "Calls.\nBy \\ reason.");
        family.sample(&[("reason", "busy")], 3);
        family.sample(&[("reason", "quote \" slash \\ line \n end"), ("side", "é")], 0);
        encoder.single("temperature", MetricKind::Gauge, "Degrees.", -1.5);
        assert_eq!(
            encoder.finish(),
            "# HELP calls_total Calls.\\nBy \\\\ reason.\n# TYPE calls_total counter\ncalls_total{reason=\"busy\"} 3\n\
             calls_total{reason=\"quote \\\" slash \\\\ line \\n end\",side=\"é\"} 0\n\
             # HELP temperature Degrees.\n# TYPE temperature gauge\ntemperature -1.5\n"
        );
    }

    #[test]
    fn values_that_are_not_finite_have_the_spelling_of_the_format() {
        let mut encoder = Encoder::default();
        let mut family = encoder.family("x", MetricKind::Gauge, "X.");
        for value in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            family.sample(&[], value);
        }
        assert!(encoder.finish().ends_with("x +Inf\nx -Inf\nx NaN\n"));
    }

    #[test]
    fn a_histogram_is_cumulative_and_adds_its_parts() {
        let parts = [LatencyHistogram::default(), LatencyHistogram::default()];
        for took in [Duration::from_micros(100), Duration::from_millis(3)] {
            parts[0].observe(took);
        }
        parts[1].observe(Duration::from_secs(61));
        let mut encoder = Encoder::default();
        encoder.family("d", MetricKind::Histogram, "D.").latency(&[("route", "/v1/x")], parts.iter());
        let text = encoder.finish();
        for (bound, count) in
            [("0.0001", 1), ("0.00025", 1), ("0.0025", 1), ("0.005", 2), ("60", 2), ("+Inf", 3)]
        {
            let line = format!("d_bucket{{route=\"/v1/x\",le=\"{bound}\"}} {count}\n");
            assert!(text.contains(&line), "{line} is not in {text}");
        }
        assert!(text.contains("d_sum{route=\"/v1/x\"} 61.0031\n"), "{text}");
        assert!(text.ends_with("d_count{route=\"/v1/x\"} 3\n"), "{text}");
    }
}
