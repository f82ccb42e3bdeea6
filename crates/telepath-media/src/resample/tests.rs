//! The filters are measured from outside, with sines: what arrives at the frequency that was sent, and all the rest.

use super::Resampler;
use proptest::prelude::*;
use std::f64::consts::TAU;
use std::time::Duration;

const PAIRS: [(u32, u32); 6] =
    [(8000, 16_000), (16_000, 8000), (8000, 24_000), (24_000, 8000), (16_000, 24_000), (24_000, 16_000)];
const AMPLITUDE: f64 = 16_000.0;
/// A tone is measured over 50 ms, in which each multiple of 20 Hz has whole periods, after a start of 10 ms.
const START: Duration = Duration::from_millis(10);
const MEASURED: Duration = Duration::from_millis(50);

fn samples_in(time: Duration, rate: u32) -> usize {
    usize::try_from(time.as_millis()).unwrap() * rate as usize / 1000
}

fn resample(from: u32, to: u32, input: &[i16]) -> Vec<i16> {
    let mut output = Vec::new();
    Resampler::new(from, to).unwrap().process(input, &mut output);
    output
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "the tones are short and not loud"
)]
fn tone(frequency: u32, rate: u32) -> Vec<i16> {
    let step = TAU * f64::from(frequency) / f64::from(rate);
    let samples = samples_in(START + MEASURED, rate);
    (0..samples).map(|n| (AMPLITUDE * (step * n as f64).sin()).round() as i16).collect()
}

/// What became of a tone: amplitude and delay, in radians, of the part that is still at its frequency, and the amplitude
/// of a tone with the power of all the rest.
struct Spectrum {
    amplitude: f64,
    lag: f64,
    rest: f64,
}

#[expect(clippy::cast_precision_loss, reason = "the tones are short")]
fn measure(frequency: u32, from: u32, to: u32) -> Spectrum {
    let output = resample(from, to, &tone(frequency, from));
    let start = samples_in(START, to);
    let measured = &output[start..];
    let step = TAU * f64::from(frequency) / f64::from(to);
    let (mut sine, mut cosine, mut power) = (0.0, 0.0, 0.0);
    for (n, &sample) in (start..).zip(measured) {
        let (value, angle) = (f64::from(sample), step * n as f64);
        sine += value * angle.sin();
        cosine += value * angle.cos();
        power += value * value;
    }
    let half = measured.len() as f64 / 2.0;
    let (sine, cosine, power) = (sine / half, cosine / half, power / half);
    // From half of the new rate on, no part of the output can be at the frequency of the input.
    let kept = if frequency * 2 < to { sine * sine + cosine * cosine } else { 0.0 };
    Spectrum { amplitude: kept.sqrt(), lag: (-cosine).atan2(sine), rest: (power - kept).max(0.0).sqrt() }
}

fn decibels(amplitude: f64) -> f64 {
    20.0 * (amplitude / AMPLITUDE).log10()
}

#[test]
fn aliases_and_images_are_below_60_db_at_every_frequency() {
    for (from, to) in PAIRS {
        let edge = from.min(to) / 2;
        let sweep = (100..from / 2).step_by(100);
        // The frequencies next to the stopband's edge are the hardest.
        let around = (edge - 300..edge + 300).step_by(20).filter(|&frequency| frequency < from / 2);
        for frequency in sweep.chain(around) {
            let rest = decibels(measure(frequency, from, to).rest);
            assert!(rest < -60.0, "{from} to {to}: {frequency} Hz causes {rest:.1} dB");
        }
    }
}

#[test]
fn the_passband_is_flat() {
    for (from, to) in PAIRS {
        let (edge, ripple) = if from.min(to) == 8000 { (3400, 0.2) } else { (7000, 0.05) };
        for frequency in (100..=edge).step_by(100) {
            let gain = decibels(measure(frequency, from, to).amplitude);
            assert!(gain.abs() < ripple, "{from} to {to}: {gain:.3} dB at {frequency} Hz");
        }
    }
}

#[test]
fn the_delay_is_at_most_3_ms_and_the_same_for_all_frequencies() {
    for (from, to) in PAIRS {
        let delay = Resampler::new(from, to).unwrap().delay();
        assert!(delay <= Duration::from_millis(3), "{from} to {to}: {delay:?}");
        for frequency in [100, 300, 1000, 3000] {
            let expected = (TAU * f64::from(frequency) * delay.as_secs_f64()).rem_euclid(TAU);
            let difference = (measure(frequency, from, to).lag - expected).rem_euclid(TAU);
            let difference = difference.min(TAU - difference);
            assert!(difference < 0.01, "{from} to {to}: {frequency} Hz is off by {difference:.4} rad");
        }
    }
}

#[test]
fn equal_rates_are_copied_and_other_rates_are_refused() {
    let every: Vec<i16> = (i16::MIN..=i16::MAX).collect();
    for rate in [8000, 16_000, 24_000] {
        assert_eq!(resample(rate, rate, &every), every);
        assert_eq!(Resampler::new(rate, rate).unwrap().delay(), Duration::ZERO);
    }
    for (from, to) in [(8000, 48_000), (44_100, 8000), (0, 8000), (11_025, 11_025)] {
        assert!(Resampler::new(from, to).is_none(), "{from} to {to}");
    }
}

#[test]
fn overshoot_is_limited_instead_of_wrapping() {
    for (from, to) in PAIRS {
        let half_period = usize::try_from(from / 100).unwrap();
        let square: Vec<i16> = (0..half_period * 4)
            .map(|n| if n / half_period % 2 == 0 { i16::MIN } else { i16::MAX })
            .collect();
        let output = resample(from, to, &square);
        assert!(output.contains(&i16::MAX) && output.contains(&i16::MIN), "{from} to {to}: it overshoots");
        // The signal begins after the delay, and then has three edges. A sample that wrapped would change sign twice more.
        let begun = &output[samples_in(Duration::from_millis(6), to)..];
        let changes = begun.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
        assert_eq!(changes, 3, "{from} to {to}");
    }
}

#[test]
fn after_a_reset_nothing_of_the_input_before_is_heard() {
    for (from, to) in PAIRS {
        let mut resampler = Resampler::new(from, to).unwrap();
        let mut output = Vec::new();
        resampler.process(&[20_000; 1001], &mut output);
        resampler.reset();
        output.clear();
        resampler.process(&tone(1000, from), &mut output);
        assert_eq!(output, resample(from, to, &tone(1000, from)), "{from} to {to}");
    }
}

proptest! {
    #[test]
    fn the_result_does_not_depend_on_how_the_input_is_divided(
        input in proptest::collection::vec(any::<i16>(), 0..1500),
        lengths in proptest::collection::vec(0usize..400, 1..12),
        (from, to) in proptest::sample::select(PAIRS.to_vec()),
    ) {
        let whole = resample(from, to, &input);
        let results = (input.len() as u64 * u64::from(to)).div_ceil(u64::from(from));
        prop_assert_eq!(whole.len() as u64, results);
        let mut resampler = Resampler::new(from, to).unwrap();
        let (mut output, mut rest) = (Vec::new(), input.as_slice());
        for &length in lengths.iter().cycle() {
            // A cycle of nothing but empty chunks would not end.
            let (chunk, later) = rest.split_at(length.max(usize::from(lengths[0] == 0)).min(rest.len()));
            resampler.process(chunk, &mut output);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(output, whole);
    }
}
