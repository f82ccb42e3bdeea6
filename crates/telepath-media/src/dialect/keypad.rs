//! Keys that the caller presses, for providers that understand only language: digits that belong together become one
//! sentence.

use crate::dtmf::Digit;
use std::time::{Duration, Instant};

/// The input ends this long after the last key.
pub(super) const INPUT_GAP: Duration = Duration::from_secs(2);
/// The input ends at this number of keys.
pub(super) const INPUT_LIMIT: usize = 64;

/// The keys of an input that has not ended.
#[derive(Debug, Default)]
pub(super) struct Keypad {
    digits: String,
    ends_at: Option<Instant>,
}

impl Keypad {
    /// A key was pressed. The number sign and [`INPUT_LIMIT`] end the input at once.
    pub(super) fn press(&mut self, digit: Digit, now: Instant) {
        self.digits.push(digit.to_char());
        let is_last = digit.to_char() == '#' || self.digits.len() >= INPUT_LIMIT;
        self.ends_at = Some(if is_last { now } else { now + INPUT_GAP });
    }

    /// When the input ends.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.ends_at
    }

    /// The sentence for the agent, once the input has ended.
    pub(super) fn take_input(&mut self, now: Instant) -> Option<String> {
        self.ends_at.take_if(|ends_at| now >= *ends_at)?;
        let digits = std::mem::take(&mut self.digits);
        Some(format!("The caller pressed {digits} on the telephone keypad."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(keypad: &mut Keypad, keys: &str, now: Instant) {
        keys.chars().for_each(|key| keypad.press(Digit::from_char(key).unwrap(), now));
    }

    #[test]
    fn keys_within_two_seconds_are_one_input() {
        let (start, mut keypad) = (Instant::now(), Keypad::default());
        assert_eq!((keypad.poll_timeout(), keypad.take_input(start)), (None, None));
        press(&mut keypad, "12", start);
        press(&mut keypad, "3", start + INPUT_GAP / 2);
        let end = start + INPUT_GAP * 3 / 2;
        assert_eq!(keypad.poll_timeout(), Some(end));
        assert_eq!(keypad.take_input(start + INPUT_GAP), None);
        let sentence = "The caller pressed 123 on the telephone keypad.";
        assert_eq!(keypad.take_input(end).as_deref(), Some(sentence));
        assert_eq!(keypad.take_input(end), None);
    }

    #[test]
    fn the_number_sign_and_the_limit_end_the_input_at_once() {
        let (start, mut keypad) = (Instant::now(), Keypad::default());
        press(&mut keypad, "1#", start);
        assert!(keypad.take_input(start).unwrap().contains("1#"));
        press(&mut keypad, &"7".repeat(INPUT_LIMIT - 1), start);
        assert_eq!(keypad.take_input(start), None);
        press(&mut keypad, "7", start);
        assert!(keypad.take_input(start).is_some());
    }
}
