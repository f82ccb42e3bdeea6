//! The low-pass filters, computed at compile time from their definition.
//!
//! Each is an ideal low-pass filter, a sinc, under a Kaiser window. The length of a window determines delay and width of
//! the transition, its shape the attenuation: with 6.2, the stopband stays below -60 dB after coefficients are rounded.
//! A delay of 3 ms permits a transition of about 600 Hz, so the cutoff at 8 kHz is 3.66 kHz, in the middle between the
//! end of the telephone band and the frequencies that have aliases. At 16 kHz, 1 kHz of transition needs only 2 ms.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "const fn cannot use TryFrom; counts are below 200, and coefficients are below 2^15"
)]

use std::f64::consts::PI;
use std::time::Duration;

/// The shape of the windows, called beta.
const SHAPE: f64 = 6.2;
/// Fraction bits of a coefficient. A filter whose input is the full range of 16 bits must not overflow 32 bits, so the
/// magnitudes of a phase may add up to 65,535; they reach about 2.4.
const FRACTION: u32 = 14;
/// The most taps of a phase.
pub(super) const MAX_TAPS: usize = 144;

/// A low-pass filter that changes a sampling rate by `up / down`.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) up: usize,
    pub(super) down: usize,
    /// The rate at which the filter is defined: `up` times that of the input.
    raised_rate: u32,
    /// One group per phase. A group is applied to consecutive samples, the oldest first.
    coefficients: &'static [i16],
}

pub(super) static FROM_8_TO_16: Filter =
    Filter { up: 2, down: 1, raised_rate: 16_000, coefficients: &low_pass::<96>(2, 3660.0 / 16_000.0) };
pub(super) static FROM_16_TO_8: Filter =
    Filter { up: 1, down: 2, raised_rate: 16_000, coefficients: &low_pass::<96>(1, 3660.0 / 16_000.0) };
pub(super) static FROM_8_TO_24: Filter =
    Filter { up: 3, down: 1, raised_rate: 24_000, coefficients: &low_pass::<144>(3, 3660.0 / 24_000.0) };
pub(super) static FROM_24_TO_8: Filter =
    Filter { up: 1, down: 3, raised_rate: 24_000, coefficients: &low_pass::<144>(1, 3660.0 / 24_000.0) };
pub(super) static FROM_16_TO_24: Filter =
    Filter { up: 3, down: 2, raised_rate: 48_000, coefficients: &low_pass::<192>(3, 7500.0 / 48_000.0) };
pub(super) static FROM_24_TO_16: Filter =
    Filter { up: 2, down: 3, raised_rate: 48_000, coefficients: &low_pass::<192>(2, 7500.0 / 48_000.0) };

impl Filter {
    /// Samples of the input that one result is made of.
    pub(super) fn taps(&self) -> usize {
        self.coefficients.len() / self.up
    }

    /// The group delay; it is the same for all frequencies because the filter is symmetric.
    pub(super) fn delay(&self) -> Duration {
        let half = self.coefficients.len() - 1;
        Duration::from_secs(half as u64) / (2 * self.raised_rate)
    }

    /// The result of a phase for the samples up to now, as many as there are taps.
    pub(super) fn apply(&self, phase: usize, samples: &[i16]) -> i16 {
        let taps = self.taps();
        let group = &self.coefficients[phase * taps..][..taps];
        let sum: i32 = group.iter().zip(samples).map(|(&c, &sample)| i32::from(c) * i32::from(sample)).sum();
        // The sum is at most 2^31 - 2^15, so rounding cannot overflow either.
        let rounded = (sum + (1 << (FRACTION - 1))) >> FRACTION;
        rounded.clamp(i16::MIN.into(), i16::MAX.into()) as i16
    }
}

/// A filter of `N` coefficients, grouped by phase, with this cutoff as a fraction of the raised rate. The gain of each
/// phase is one, which makes up for the zeros that are skipped.
const fn low_pass<const N: usize>(phases: usize, cutoff: f64) -> [i16; N] {
    let mut grouped = [0; N];
    let taps = N / phases;
    let scale = (phases as f64) * (1u32 << FRACTION) as f64 / bessel_i0(SHAPE * SHAPE);
    let middle = (N as f64 - 1.0) / 2.0;
    let mut at = 0;
    while at < N {
        let from_middle = at as f64 - middle;
        let edge = from_middle / middle;
        let window = bessel_i0(SHAPE * SHAPE * (1.0 - edge * edge));
        // No coefficient is in the middle, because N is even.
        let ideal = sine(2.0 * PI * cutoff * from_middle) / (PI * from_middle);
        let (phase, age) = (at % phases, at / phases);
        grouped[phase * taps + taps - 1 - age] = (scale * window * ideal).round() as i16;
        at += 1;
    }
    grouped
}

/// The modified Bessel function of the first kind of order zero, for the square of its argument, by its power series.
const fn bessel_i0(square: f64) -> f64 {
    let (mut sum, mut term, mut n) = (1.0, 1.0, 1.0);
    while n < 40.0 {
        term *= square / 4.0 / (n * n);
        sum += term;
        n += 1.0;
    }
    sum
}

/// The sine by its power series, after whole turns are removed.
const fn sine(angle: f64) -> f64 {
    let reduced = angle - 2.0 * PI * (angle / (2.0 * PI)).round();
    let (mut sum, mut term, mut n) = (reduced, reduced, 1.0);
    while n < 30.0 {
        term *= -reduced * reduced / ((2.0 * n) * (2.0 * n + 1.0));
        sum += term;
        n += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_input_overflows_the_sum_of_a_filter() {
        for filter in
            [&FROM_8_TO_16, &FROM_16_TO_8, &FROM_8_TO_24, &FROM_24_TO_8, &FROM_16_TO_24, &FROM_24_TO_16]
        {
            assert!(filter.taps() <= MAX_TAPS);
            for group in filter.coefficients.chunks(filter.taps()) {
                let total: u32 = group.iter().map(|c| u32::from(c.unsigned_abs())).sum();
                assert!(total < 65_535, "{filter:?}: {total}");
            }
        }
    }

    #[test]
    fn every_phase_has_a_gain_of_one() {
        for filter in
            [&FROM_8_TO_16, &FROM_16_TO_8, &FROM_8_TO_24, &FROM_24_TO_8, &FROM_16_TO_24, &FROM_24_TO_16]
        {
            for group in filter.coefficients.chunks(filter.taps()) {
                let gain = f64::from(group.iter().map(|&c| i32::from(c)).sum::<i32>()) / 16_384.0;
                assert!((gain - 1.0).abs() < 0.001, "{filter:?}: {gain}");
            }
        }
    }

    #[test]
    fn the_series_equal_the_functions() {
        for step in -400..400 {
            let angle = f64::from(step) / 3.0;
            assert!((sine(angle) - angle.sin()).abs() < 1e-12, "{angle}");
        }
        // Abramowitz and Stegun, table 9.8: exp(-5) I0(5).
        assert!((bessel_i0(25.0) * (-5.0f64).exp() - 0.183_540_812_6).abs() < 1e-10);
    }
}
