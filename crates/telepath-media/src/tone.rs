//! A sine generator and a tone detector (Goertzel algorithm).
//!
//! They let a test caller verify that it received what it sent, even if individual samples changed on the way.

use crate::media_clock::SAMPLE_RATE;
use std::f64::consts::TAU;

/// A frequency in hertz.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hertz(pub f64);

/// Generates a sine with this peak amplitude, starting at phase zero.
#[expect(clippy::cast_possible_truncation, reason = "a sine times an i16 stays within i16")]
pub fn sine(frequency: Hertz, amplitude: i16, samples: usize) -> Vec<i16> {
    let step = TAU * frequency.0 / f64::from(SAMPLE_RATE);
    let mut phase = 0.0f64;
    (0..samples)
        .map(|_| {
            let value = (phase.sin() * f64::from(amplitude)).round() as i16;
            phase = (phase + step) % TAU;
            value
        })
        .collect()
}

/// The share of the signal's power at a frequency, from 0 to 1; 0 for silence.
pub fn share_at(frequency: Hertz, samples: &[i16]) -> f64 {
    let coefficient = 2.0 * (TAU * frequency.0 / f64::from(SAMPLE_RATE)).cos();
    let (mut last, mut before, mut energy, mut count) = (0.0, 0.0, 0.0, 0.0);
    for &sample in samples {
        let value = f64::from(sample);
        (last, before) = (value + coefficient * last - before, last);
        energy += value * value;
        count += 1.0;
    }
    if energy == 0.0 {
        return 0.0;
    }
    let power = last * last + before * before - coefficient * last * before;
    (2.0 * power / (count * energy)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sine_has_its_power_at_its_own_frequency_only() {
        let tone = sine(Hertz(440.0), 8000, 8000);
        assert!(share_at(Hertz(440.0), &tone) > 0.99);
        assert!(share_at(Hertz(500.0), &tone) < 0.01);
        assert!(share_at(Hertz(440.0), &[0; 800]).abs() < f64::EPSILON);
    }
}
