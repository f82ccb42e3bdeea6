//! The quadrature mirror filters that split 16 kHz audio into two sub-bands and join them again (sections 5.2.1 and
//! 6.2.2).

use super::SAMPLES_PER_BYTE;
use super::tables::{MIRROR_EVEN, MIRROR_ODD};

const TAPS: usize = MIRROR_ODD.len();

/// The newest samples of one phase of a filter, oldest first.
type Delay = [i16; TAPS];

fn push(delay: &mut Delay, sample: i16) {
    delay.copy_within(1.., 0);
    delay[TAPS - 1] = sample;
}

/// The output of one half of a filter, whose coefficients are in the order of the samples.
fn half(coefficients: &[i16; TAPS], delay: &Delay) -> i32 {
    coefficients.iter().zip(delay).map(|(&c, &sample)| i32::from(c) * i32::from(sample)).sum()
}

/// The filter of the encoder: two samples at 16 kHz to one of each band.
#[derive(Debug, Clone, Default)]
pub(super) struct Analysis {
    first: Delay,
    second: Delay,
}

impl Analysis {
    /// The next sample of the lower and of the higher band.
    ///
    /// The ITU's own software limits both to 15 bits. Like the implementations that the tests compare with, this one
    /// does not: it matters only for a signal that overshoots full scale, and there the decoder limits what it
    /// reconstructs.
    pub(super) fn split(&mut self, [first, second]: [i16; SAMPLES_PER_BYTE]) -> (i16, i16) {
        push(&mut self.first, first);
        push(&mut self.second, second);
        // The coefficients of one half add up to 6472 in magnitude, so the results are within 25,888.
        let (even, odd) = (half(&MIRROR_EVEN, &self.second), half(&MIRROR_ODD, &self.first));
        (((even + odd) >> 14) as i16, ((even - odd) >> 14) as i16)
    }
}

/// The filter of the decoder: one sample of each band to two at 16 kHz.
#[derive(Debug, Clone, Default)]
pub(super) struct Synthesis {
    difference: Delay,
    sum: Delay,
}

impl Synthesis {
    /// The next two samples of the signal with these samples of its bands, of 15 bits each.
    pub(super) fn join(&mut self, low: i16, high: i16) -> [i16; SAMPLES_PER_BYTE] {
        // Neither can overflow: both are within 15 bits.
        push(&mut self.difference, low - high);
        push(&mut self.sum, low + high);
        [half(&MIRROR_EVEN, &self.difference), half(&MIRROR_ODD, &self.sum)]
            .map(|value| (value >> 11).clamp(i16::MIN.into(), i16::MAX.into()) as i16)
    }
}
