//! The audio that the test call plays and expects back: three tones shaped like syllables, recognised by frequency. The
//! frequencies are not multiples of the packet rate, so that no two packets are equal and each echo can be timed.

use telepath_media::media_clock::SAMPLE_RATE;
use telepath_media::tone::{Hertz, share_at, sine};

/// The tones, a major triad within the telephone band.
const NOTES: [Hertz; 3] = [Hertz(523.25), Hertz(659.26), Hertz(783.99)];
/// Lengths in milliseconds.
const SYLLABLE_MS: usize = 500;
const PAUSE_MS: usize = 250;
/// The peak amplitude.
const AMPLITUDE: i16 = 9000;
/// The detection window and its step, in samples.
const WINDOW_MS: usize = 100;
const STEP_MS: usize = 50;
/// A tone is detected if a window has at least this share of its power at the tone's frequency.
const ENOUGH: f64 = 0.6;
/// Windows with a lower mean square are silence, for any spectrum.
const QUIET: f64 = 500.0 * 500.0;

const fn samples(ms: usize) -> usize {
    ms * SAMPLE_RATE as usize / 1000
}

/// The samples to play.
pub(super) fn greeting() -> Vec<i16> {
    let mut out = vec![0; samples(PAUSE_MS)];
    for note in NOTES {
        out.extend(shaped(sine(note, AMPLITUDE, samples(SYLLABLE_MS))));
        out.extend(std::iter::repeat_n(0, samples(PAUSE_MS)));
    }
    out
}

/// A smooth rise and fall, so that the tone does not click.
#[expect(clippy::cast_possible_truncation, reason = "a sample times at most one stays within i16")]
#[expect(clippy::cast_precision_loss, reason = "half a second has 4000 samples")]
fn shaped(tone: Vec<i16>) -> impl Iterator<Item = i16> {
    let length = tone.len() as f64;
    tone.into_iter().enumerate().map(move |(at, sample)| {
        let envelope = (std::f64::consts::PI * at as f64 / length).sin().sqrt();
        (f64::from(sample) * envelope).round() as i16
    })
}

/// The detection result of one tone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    note: Hertz,
    share: f64,
}

impl Heard {
    /// Whether the tone was detected.
    pub(super) fn is_heard(&self) -> bool {
        self.share >= ENOUGH
    }

    /// The name of the tone.
    pub(super) fn name(&self) -> String {
        format!("{:.0} Hz", self.note.0)
    }
}

/// Looks for each tone in a recording.
pub(super) fn listen(recording: &[i16]) -> Vec<Heard> {
    let best = |note| {
        let windows = recording.windows(samples(WINDOW_MS)).step_by(samples(STEP_MS));
        windows.filter(|window| is_loud(window)).map(|window| share_at(note, window)).fold(0.0, f64::max)
    };
    NOTES.into_iter().map(|note| Heard { note, share: best(note) }).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a window has 800 samples")]
fn is_loud(window: &[i16]) -> bool {
    let energy: f64 = window.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    energy / window.len() as f64 > QUIET
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_is_detected_in_itself_but_not_in_silence_or_other_tones() {
        assert!(listen(&greeting()).iter().all(Heard::is_heard));
        assert!(!listen(&vec![0; 16_000]).iter().any(Heard::is_heard));
        assert!(!listen(&sine(Hertz(440.0), AMPLITUDE, 16_000)).iter().any(Heard::is_heard));
        assert!(!listen(&[]).iter().any(Heard::is_heard));
    }

    #[test]
    fn a_missing_syllable_is_detected() {
        let whole = greeting();
        let first_two = &whole[..samples(PAUSE_MS + 2 * (SYLLABLE_MS + PAUSE_MS))];
        let heard: Vec<bool> = listen(first_two).iter().map(Heard::is_heard).collect();
        assert_eq!(heard, [true, true, false]);
    }
}
