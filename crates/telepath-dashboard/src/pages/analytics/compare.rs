//! Two connections side by side. No side is called better on fewer than 50 calls each, or on a difference that may be chance.

use telepath_core::analytics::{CallFigures, Comparison, Difference, MIN_COMPARED, Outcome, compare};

use crate::number::grouped;

/// The comparison of two connections.
pub(super) struct Compared {
    pub(super) first: String,
    pub(super) second: String,
    pub(super) rows: Vec<Row>,
}

/// One figure.
pub(super) struct Row {
    pub(super) figure: &'static str,
    pub(super) first: String,
    pub(super) second: String,
    pub(super) difference: String,
    pub(super) finding: String,
}

impl Compared {
    pub(super) fn of(
        (first, one): (String, Option<&CallFigures>),
        (second, other): (String, Option<&CallFigures>),
    ) -> Self {
        let nothing = CallFigures::default();
        let found = compare(one.unwrap_or(&nothing), other.unwrap_or(&nothing));
        Self { first, second, rows: found.iter().map(Row::of).collect() }
    }
}

/// How a figure is written: its name, its unit, its digits, and what the better side does.
fn form(figure: &str) -> (&'static str, &'static str, usize, &'static str, &'static str) {
    match figure {
        "success_rate" => ("Reached the agent", "%", 1, "reaches the agent more often by", ""),
        "ai_latency_ms" => ("Agent’s latency, mean", " ms", 0, "responds", " faster"),
        "time_to_first_speech_ms" => ("Time to first speech, mean", " ms", 0, "speaks first", " sooner"),
        "gateway_processing_us" => ("Gateway, mean", " µs", 0, "takes", " less in the gateway"),
        "carrier_lag_ms" => ("Carrier, mean", " ms", 0, "has", " less carrier lag"),
        "interruptions" => ("Interruptions per call, mean", "", 2, "has", " fewer interruptions per call"),
        _ => ("MOS, mean", "", 2, "scores higher by", ""),
    }
}

impl Row {
    fn of(comparison: &Comparison) -> Self {
        let (figure, unit, digits, ..) = form(comparison.figure);
        let value = |value: Option<f64>| {
            value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}{unit}"))
        };
        let [first, second] = comparison.values.map(value);
        let difference = comparison.difference.map_or_else(
            || "–".to_owned(),
            |Difference { value, low, high }| {
                format!("{value:+.digits$}{unit} ({low:+.digits$} to {high:+.digits$})")
            },
        );
        Self { figure, first, second, difference, finding: finding(comparison) }
    }
}

/// `B responds 84 ms faster (52–116).`
fn finding(comparison: &Comparison) -> String {
    let counts = comparison.counts.map(grouped);
    let winner = match comparison.outcome {
        Outcome::TooFewCalls => {
            return format!(
                "Too few calls: {} and {}. Each needs at least {MIN_COMPARED}.",
                counts[0], counts[1]
            );
        }
        Outcome::NoDifference => {
            return format!("No difference detectable with {} and {} calls.", counts[0], counts[1]);
        }
        Outcome::FirstBetter => 'A',
        Outcome::SecondBetter => 'B',
    };
    let (_, unit, digits, verb, how) = form(comparison.figure);
    let Some(Difference { value, low, high }) = comparison.difference else { return String::new() };
    let (near, far) = (low.abs().min(high.abs()), low.abs().max(high.abs()));
    let value = value.abs();
    format!("{winner} {verb} {value:.digits$}{unit}{how} ({near:.digits$}–{far:.digits$}).")
}
