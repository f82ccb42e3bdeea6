//! Comparison of the calls of two trunks: differences with 95 % confidence intervals. A difference counts as one only if its
//! interval excludes zero and both sides have enough calls.

use super::{CallFigures, Distribution, Measure};
use crate::named::named_enum;

/// With fewer calls on one side, no side is called better.
pub const MIN_COMPARED: u64 = 50;
/// The quantile of the normal distribution for an interval of 95 %.
const Z: f64 = 1.959_963_984_540_054;

named_enum! {
    /// What a comparison found.
    pub enum Outcome {
        /// Less than 50 values on one side.
        TooFewCalls = "too_few_calls",
        /// The interval includes zero.
        NoDifference = "no_difference",
        /// The first one is better.
        FirstBetter = "a_better",
        /// The second one is better.
        SecondBetter = "b_better",
    }
}

/// A difference, second minus first, with its 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The estimate.
    pub value: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// One compared figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The name of the figure: `success_rate`, or that of a [`Measure`].
    pub figure: &'static str,
    /// The figure of each side; `None` without values. A rate in percent, otherwise a mean.
    pub values: [Option<f64>; 2],
    /// The number of values of each side.
    pub counts: [u64; 2],
    /// `None` if a side has too few values for an interval.
    pub difference: Option<Difference>,
    pub outcome: Outcome,
}

/// Compares the figures of which one value per call exists. Turns of one call resemble each other, so their waits are not
/// compared.
pub fn compare(first: &CallFigures, second: &CallFigures) -> Vec<Comparison> {
    let rates = [rate_of(first), rate_of(second)];
    let mut compared = vec![Comparison::of(
        "success_rate",
        [first.success_rate(), second.success_rate()],
        [first.calls(), second.calls()],
        difference_of_rates(rates[0], rates[1]).map(|difference| difference.scaled(100.0)),
        true,
    )];
    for (measure, higher_is_better) in [
        (Measure::AiLatency, false),
        (Measure::TimeToFirstSpeech, false),
        (Measure::GatewayProcessing, false),
        (Measure::CarrierLag, false),
        (Measure::Interruptions, false),
        (Measure::Mos, true),
    ] {
        let sides = [first.measure(measure), second.measure(measure)];
        // Scores are counted in hundredths.
        let unit = if measure == Measure::Mos { 0.01 } else { 1.0 };
        compared.push(Comparison::of(
            measure.name(),
            sides.map(|side| side.mean().map(|mean| mean * unit)),
            sides.map(Distribution::count),
            difference_of_means(sides[0], sides[1]).map(|difference| difference.scaled(unit)),
            higher_is_better,
        ));
    }
    compared
}

fn rate_of(figures: &CallFigures) -> (u64, u64) {
    (figures.reached, figures.calls())
}

impl Difference {
    fn scaled(self, factor: f64) -> Self {
        Self { value: self.value * factor, low: self.low * factor, high: self.high * factor }
    }
}

impl Comparison {
    fn of(
        figure: &'static str,
        values: [Option<f64>; 2],
        counts: [u64; 2],
        difference: Option<Difference>,
        higher_is_better: bool,
    ) -> Self {
        let outcome = match difference {
            Some(difference) if counts.iter().all(|count| *count >= MIN_COMPARED) => {
                if difference.low > 0.0 {
                    if higher_is_better { Outcome::SecondBetter } else { Outcome::FirstBetter }
                } else if difference.high < 0.0 {
                    if higher_is_better { Outcome::FirstBetter } else { Outcome::SecondBetter }
                } else {
                    Outcome::NoDifference
                }
            }
            Some(_) | None => Outcome::TooFewCalls,
        };
        Self { figure, values, counts, difference, outcome }
    }
}

/// The difference of two means by Welch's method, which needs no equal variances. `None` with less than two values on a
/// side.
#[expect(clippy::cast_precision_loss, reason = "numbers of calls are far below 2^53")]
pub fn difference_of_means(first: &Distribution, second: &Distribution) -> Option<Difference> {
    let value = second.mean()? - first.mean()?;
    let (n, m) = (first.count() as f64, second.count() as f64);
    let (a, b) = (first.variance()? / n, second.variance()? / m);
    let error = (a + b).sqrt();
    let half = if error > 0.0 {
        // Welch–Satterthwaite.
        let degrees = (a + b).powi(2) / (a.powi(2) / (n - 1.0) + b.powi(2) / (m - 1.0));
        student_quantile(degrees) * error
    } else {
        0.0
    };
    Some(Difference { value, low: value - half, high: value + half })
}

/// The difference of two rates, each as successes and trials, by Newcombe's hybrid score method (method 10 in Statistics in
/// Medicine 17, 1998), which is right near 0 and 1 too. `None` without trials on a side.
#[expect(clippy::cast_precision_loss, reason = "numbers of calls are far below 2^53")]
pub fn difference_of_rates(first: (u64, u64), second: (u64, u64)) -> Option<Difference> {
    if first.1 == 0 || second.1 == 0 {
        return None;
    }
    let rate = |(successes, trials): (u64, u64)| successes as f64 / trials as f64;
    let (p, q) = (rate(second), rate(first));
    let ((p_low, p_high), (q_low, q_high)) = (score_interval(second), score_interval(first));
    let value = p - q;
    Some(Difference {
        value,
        low: value - (p - p_low).hypot(q_high - q),
        high: value + (p_high - p).hypot(q - q_low),
    })
}

/// Wilson's score interval of a rate.
#[expect(clippy::cast_precision_loss, reason = "numbers of calls are far below 2^53")]
fn score_interval((successes, trials): (u64, u64)) -> (f64, f64) {
    let (x, n) = (successes as f64, trials as f64);
    let p = x / n;
    let middle = 2.0_f64.mul_add(x, Z * Z);
    let half = Z * Z.mul_add(Z, 4.0 * x * (1.0 - p)).sqrt();
    let below = 2.0 * Z.mul_add(Z, n);
    (((middle - half) / below).max(0.0), ((middle + half) / below).min(1.0))
}

/// The 97.5 % quantile of Student's distribution (Abramowitz and Stegun 26.7.5); within 0.001 from five degrees of freedom
/// on, and exact for one and two.
fn student_quantile(degrees: f64) -> f64 {
    let v = degrees.max(1.0);
    if v < 2.0 {
        return 12.706_204_736_432_1;
    }
    if v < 3.0 {
        return 4.302_652_729_696_14;
    }
    let (z, z3, z5, z7, z9) = (Z, Z.powi(3), Z.powi(5), Z.powi(7), Z.powi(9));
    let first = (z3 + z) / 4.0;
    let second = (5.0 * z5 + 16.0 * z3 + 3.0 * z) / 96.0;
    let third = (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / 384.0;
    let fourth = (79.0 * z9 + 776.0 * z7 + 1482.0 * z5 - 1920.0 * z3 - 945.0 * z) / 92_160.0;
    z + first / v + second / v.powi(2) + third / v.powi(3) + fourth / v.powi(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Distribution {
        let mut distribution = Distribution::default();
        values.into_iter().for_each(|value| distribution.observe(value));
        distribution
    }

    fn near(found: f64, expected: f64, within: f64) {
        assert!((found - expected).abs() <= within, "{found} instead of {expected}");
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (degrees, expected) in [
            (1.0, 12.706),
            (2.0, 4.303),
            (5.0, 2.571),
            (10.0, 2.228),
            (30.0, 2.042),
            (49.0, 2.0096),
            (1e9, 1.960),
        ] {
            near(student_quantile(degrees), expected, 0.0012);
        }
    }

    #[test]
    fn the_difference_of_means_is_welchs() {
        // Sleep data of Student (1908), hours × 10 shifted by 20: R's t.test gives -3.3654832 to 0.2054832 for the two drugs.
        let one = of([27, 4, 18, 8, 19, 54, 57, 28, 20, 40]);
        let two = of([39, 28, 31, 21, 19, 64, 75, 36, 66, 54]);
        let difference = difference_of_means(&two, &one).unwrap();
        near(difference.value, -15.8, 1e-9);
        near(difference.low, -33.654_832, 0.02);
        near(difference.high, 2.054_832, 0.02);
        assert_eq!(difference_of_means(&one, &of([5])), None);
        let constant = difference_of_means(&of([4, 4]), &of([9, 9])).unwrap();
        assert_eq!((constant.low, constant.high), (5.0, 5.0));
    }

    #[test]
    fn the_difference_of_rates_is_newcombes() {
        // Newcombe (1998), table II, method 10: 56/70 against 48/80, 9/10 against 3/10, 10/10 against 0/20.
        for ((first, second), (value, low, high)) in [
            (((48, 80), (56, 70)), (0.2, 0.0524, 0.3339)),
            (((3, 10), (9, 10)), (0.6, 0.1705, 0.8090)),
            (((0, 20), (10, 10)), (1.0, 0.6791, 1.0)),
            (((0, 10), (0, 10)), (0.0, -0.2775, 0.2775)),
        ] {
            let difference = difference_of_rates(first, second).unwrap();
            near(difference.value, value, 1e-9);
            near(difference.low, low, 0.00006);
            near(difference.high, high, 0.00006);
        }
        assert_eq!(difference_of_rates((0, 0), (1, 1)), None);
    }

    fn figures(calls: u64, latency: impl Fn(u64) -> u32) -> CallFigures {
        use crate::call::{CallMetrics, CallStatus};
        let mut all = CallFigures::default();
        for call in 0..calls {
            let metrics = CallMetrics {
                ai_latency_ms: Some(latency(call)),
                mos: Some(4.0 + f64::from(latency(call) % 2) / 10.0),
                ..CallMetrics::default()
            };
            all.merge(&CallFigures::of_call(CallStatus::Disconnected, 60, &metrics, &[]));
        }
        all
    }

    fn outcome(first: &CallFigures, second: &CallFigures, figure: &str) -> Outcome {
        compare(first, second).into_iter().find(|comparison| comparison.figure == figure).unwrap().outcome
    }

    #[test]
    fn no_side_is_better_with_less_than_50_calls_however_large_the_difference() {
        let fast = |calls| figures(calls, |call| 100 + u32::try_from(call % 5).unwrap());
        let slow = |calls| figures(calls, |call| 900 + u32::try_from(call % 5).unwrap());
        for (first, second) in [(fast(49), slow(5000)), (fast(5000), slow(49)), (fast(49), slow(49))] {
            assert!(compare(&first, &second).iter().all(|found| found.outcome == Outcome::TooFewCalls));
        }
        assert_eq!(outcome(&fast(50), &slow(50), "ai_latency_ms"), Outcome::FirstBetter);
        assert_eq!(outcome(&slow(50), &fast(50), "ai_latency_ms"), Outcome::SecondBetter);
    }

    #[test]
    fn a_difference_within_the_noise_is_none() {
        let one = figures(212, |call| 500 + u32::try_from(call * 37 % 400).unwrap());
        let two = figures(198, |call| 502 + u32::try_from(call * 53 % 400).unwrap());
        assert_eq!(outcome(&one, &two, "ai_latency_ms"), Outcome::NoDifference);
        assert_eq!(outcome(&one, &two, "success_rate"), Outcome::NoDifference);
        assert_eq!(outcome(&one, &two, "time_to_first_speech_ms"), Outcome::TooFewCalls, "not measured");
    }

    #[test]
    fn for_rates_and_scores_higher_is_better() {
        let failing = |mut figures: CallFigures, failed: u64| {
            figures.failed = failed;
            figures
        };
        let (good, bad) = (failing(figures(100, |_| 500), 0), failing(figures(100, |_| 500), 30));
        assert_eq!(outcome(&good, &bad, "success_rate"), Outcome::FirstBetter);
        assert_eq!(outcome(&bad, &good, "success_rate"), Outcome::SecondBetter);
        let (low, high) = (figures(60, |_| 500), figures(60, |_| 501));
        assert_eq!(outcome(&low, &high, "mos"), Outcome::SecondBetter);
        let mos = compare(&low, &high).into_iter().find(|found| found.figure == "mos").unwrap();
        near(mos.values[1].unwrap(), 4.1, 1e-9);
        near(mos.difference.unwrap().value, 0.1, 1e-9);
    }
}
