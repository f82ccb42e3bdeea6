//! The ADPCM of one sub-band: adaptive quantizer and adaptive predictor (sections 5.2.2 to 5.2.9).
//!
//! Encoder and decoder run the same adaptation on the same codes. All arithmetic saturates at 16 bits, and a product is
//! a fraction of 2^15, rounded down.

use super::tables::{
    HIGHER_2_BIT, HIGHER_LEVEL, HIGHER_LOG_STEPS, INVERSE_LOG, LOWER_4_BIT, LOWER_6_BIT, LOWER_LEVELS,
    LOWER_LOG_STEPS,
};

/// Coefficients of the predictor's zero section.
const ZEROS: usize = 6;
/// The largest logarithms of the scale factors.
const LOWER_LOG_MAX: i16 = 18_432;
const HIGHER_LOG_MAX: i16 = 22_528;
/// The power of two by which the scale factors are below [`INVERSE_LOG`] when their logarithm is zero.
const LOWER_SHIFT: u32 = 8;
const HIGHER_SHIFT: u32 = 10;

/// LIMIT: the range of a reconstructed sample.
fn limit_15_bit(value: i32) -> i16 {
    value.clamp(-16_384, 16_383) as i16
}

/// The product of two fractions of 2^15; only -1 times -1 is out of range.
fn multiply(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b)) >> 15).min(i16::MAX.into()) as i16
}

/// The distance of a difference from zero as the decision levels count it: a negative one is a step closer.
fn magnitude(difference: i16) -> i32 {
    i32::from(if difference < 0 { !difference } else { difference })
}

/// Predictor and scale factor of one sub-band.
#[derive(Debug, Clone)]
pub(super) struct Band {
    /// S: the predicted sample, and SZ: the part of it from the zero section.
    predicted: i16,
    predicted_by_zeros: i16,
    /// A and B: the coefficients of the pole and zero sections, fractions of 2^14.
    poles: [i16; 2],
    zeros: [i16; ZEROS],
    /// D, P and R: past quantized differences, partly reconstructed and reconstructed samples; the newest first.
    differences: [i16; ZEROS],
    partial: [i16; 2],
    reconstructed: [i16; 2],
    /// NB: the logarithm of the scale factor, and DET: the scale factor.
    log_scale: i16,
    scale: i16,
}

impl Band {
    fn new(scale: i16) -> Self {
        Self {
            predicted: 0,
            predicted_by_zeros: 0,
            poles: [0; 2],
            zeros: [0; ZEROS],
            differences: [0; ZEROS],
            partial: [0; 2],
            reconstructed: [0; 2],
            log_scale: 0,
            scale,
        }
    }

    /// The lower band after a reset.
    pub(super) fn lower() -> Self {
        Self::new(32)
    }

    /// The higher band after a reset.
    pub(super) fn higher() -> Self {
        Self::new(8)
    }

    /// QUANTL: the six-bit code of a sample of the lower band.
    pub(super) fn quantize_lower(&self, sample: i16) -> u8 {
        let difference = sample.saturating_sub(self.predicted);
        let (magnitude, scale) = (magnitude(difference), i32::from(self.scale));
        let interval = LOWER_LEVELS.partition_point(|&level| (level * scale) >> 12 <= magnitude) as u8;
        // Tables 16 and 17: intervals count from 1, and the two smallest negative ones have the codes 63 and 62.
        match interval {
            _ if difference >= 0 => 62 - interval,
            ..=2 => 64 - interval,
            _ => 34 - interval,
        }
    }

    /// QUANTH: the two-bit code of a sample of the higher band.
    pub(super) fn quantize_higher(&self, sample: i16) -> u8 {
        let difference = sample.saturating_sub(self.predicted);
        let outer = (HIGHER_LEVEL * i32::from(self.scale)) >> 12 <= magnitude(difference);
        match (difference < 0, outer) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        }
    }

    /// RECONB: the sample of the lower band that a six-bit code stands for.
    pub(super) fn reconstruct_lower(&self, code: u8) -> i16 {
        self.reconstruct(LOWER_6_BIT[usize::from(code & 0x3f)])
    }

    /// The sample of the higher band that a two-bit code stands for.
    pub(super) fn reconstruct_higher(&self, code: u8) -> i16 {
        self.reconstruct(HIGHER_2_BIT[usize::from(code & 3)])
    }

    fn reconstruct(&self, difference: i16) -> i16 {
        limit_15_bit(self.predicted.saturating_add(multiply(self.scale, difference)).into())
    }

    /// Adapts the lower band to the code that was sent or received.
    pub(super) fn adapt_lower(&mut self, code: u8) {
        let code = usize::from(code >> 2 & 15);
        self.predict(multiply(self.scale, LOWER_4_BIT[code]));
        self.set_scale(LOWER_LOG_STEPS[code], LOWER_LOG_MAX, LOWER_SHIFT);
    }

    /// Adapts the higher band to the code that was sent or received.
    pub(super) fn adapt_higher(&mut self, code: u8) {
        let code = usize::from(code & 3);
        self.predict(multiply(self.scale, HIGHER_2_BIT[code]));
        self.set_scale(HIGHER_LOG_STEPS[code], HIGHER_LOG_MAX, HIGHER_SHIFT);
    }

    /// LOGSCL, LOGSCH, SCALEL and SCALEH: the scale factor of the next sample. The logarithm forgets 1/128 of itself.
    fn set_scale(&mut self, step: i16, most: i16, shift: u32) {
        self.log_scale = (multiply(self.log_scale, 32_512) + step).clamp(0, most);
        let fraction = INVERSE_LOG[usize::from((self.log_scale >> 6 & 31).unsigned_abs())];
        self.scale = (((i32::from(fraction) << (self.log_scale >> 11)) >> shift) << 2) as i16;
    }

    /// Adapts the predictor to a quantized difference and predicts the next sample.
    fn predict(&mut self, difference: i16) {
        // PARREC and RECONS
        let partial = self.predicted_by_zeros.saturating_add(difference);
        let reconstructed = self.predicted.saturating_add(difference);
        self.adapt_zeros(difference);
        self.adapt_poles(partial);
        self.differences.copy_within(..ZEROS - 1, 1);
        self.differences[0] = difference;
        self.partial = [partial, self.partial[0]];
        self.reconstructed = [reconstructed, self.reconstructed[0]];

        // FILTEZ, FILTEP and PREDIC; sums saturate at every step, in this order.
        self.predicted_by_zeros =
            self.zeros.iter().zip(&self.differences).rev().fold(0, |sum: i16, (&zero, &past)| {
                sum.saturating_add(multiply(past.saturating_add(past), zero))
            });
        let [first, second] = [0, 1].map(|n| {
            let past = self.reconstructed[n];
            multiply(past.saturating_add(past), self.poles[n])
        });
        self.predicted = first.saturating_add(second).saturating_add(self.predicted_by_zeros);
    }

    /// UPZERO: each coefficient leaks 1/256 and moves toward the correlation of the difference with a past one.
    fn adapt_zeros(&mut self, difference: i16) {
        let step = if difference == 0 { 0 } else { 128 };
        for (zero, past) in self.zeros.iter_mut().zip(self.differences) {
            let step = if (past < 0) == (difference < 0) { step } else { -step };
            *zero = multiply(*zero, 32_640).saturating_add(step);
        }
    }

    /// UPPOL2 and UPPOL1: the same for the poles, which stay within the region where the filter is stable.
    fn adapt_poles(&mut self, partial: i16) {
        let [first, second] = self.poles;
        let [like_last, like_second] = self.partial.map(|past| (past < 0) == (partial < 0));

        let scaled = i32::from(first).saturating_mul(4).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        let coupling = if like_last { 0i16.saturating_sub(scaled) } else { scaled };
        let step = if like_second { 128 } else { -128 };
        let second = ((coupling >> 7) + step + multiply(second, 32_512)).clamp(-12_288, 12_288);

        let step = if like_last { 192 } else { -192 };
        let most = 15_360 - second;
        let first = multiply(first, 32_640).saturating_add(step).clamp(-most, most);
        self.poles = [first, second];
    }
}
