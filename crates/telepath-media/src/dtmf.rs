//! Telephone events (RFC 4733): digits out of event packets, and digits into them.
//!
//! A digit is known by its timestamp and finished by its end bit. Neither the marker bit nor the number of
//! packets matters, because carriers lose and repeat both; each digit is reported exactly once.

use crate::rtp::RtpTimestamp;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A digit counts as finished when no packet of it came for this long, its end having been lost.
pub const LOST_END: Duration = Duration::from_millis(300);
/// Digits that may wait to be sent.
pub const SEND_LIMIT: usize = 64;

/// Samples of one tick, the unit of an event's duration.
const TICK_SAMPLES: u16 = 160;
/// Ticks of 20 ms that a sent digit sounds.
const TONE_TICKS: u16 = 5;
/// The last packet is sent three times (RFC 4733 section 2.5.1.4).
const END_REPEATS: u16 = 2;
/// Ticks of nothing after a digit, beside those of the repeated ends.
const PAUSE_TICKS: u16 = 2;
/// Level of the tone in -dBm0.
const VOLUME: u8 = 10;

/// One key of a telephone: 0 to 9, `*`, `#`, A to D.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digit(u8);

impl Digit {
    const KEYS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

    /// The digit of an event code (RFC 4733 section 3.2), `None` for other events such as flash.
    pub fn from_event(code: u8) -> Option<Self> {
        (code < 16).then_some(Self(code))
    }

    /// The digit of a key's character, letters in either case.
    pub fn from_char(key: char) -> Option<Self> {
        let index = Self::KEYS.iter().position(|&known| known == key.to_ascii_uppercase())?;
        u8::try_from(index).ok().map(Self)
    }

    /// The key's character.
    pub fn to_char(self) -> char {
        Self::KEYS[usize::from(self.0 & 15)]
    }

    /// The event code.
    pub fn event(self) -> u8 {
        self.0
    }
}

/// Turns event payloads into digits.
#[derive(Debug, Default)]
pub struct DtmfReceiver {
    open: Option<Open>,
    last: Option<RtpTimestamp>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    digit: Digit,
    timestamp: RtpTimestamp,
    last_heard: Instant,
}

impl DtmfReceiver {
    /// Takes in an event payload. Reports up to two digits: one whose end was lost and which the new packet
    /// shows to be over, and one that ends with this packet.
    pub fn handle(&mut self, payload: &[u8], timestamp: RtpTimestamp, now: Instant) -> [Option<Digit>; 2] {
        let Some(&[event, flags, ..]) = payload.first_chunk::<4>() else { return [None, None] };
        let Some(digit) = Digit::from_event(event) else { return [None, None] };
        // A repeated end, or a straggler of a digit already reported.
        if self.last.is_some_and(|last| timestamp.distance_from(last) <= 0) {
            return [None, None];
        }
        let over = match self.open {
            Some(open) if timestamp.distance_from(open.timestamp) < 0 => return [None, None],
            Some(open) if open.timestamp != timestamp => self.finish(),
            Some(_) | None => None,
        };
        self.open = Some(Open { digit, timestamp, last_heard: now });
        let ended = if flags & 0x80 == 0 { None } else { self.finish() };
        [over, ended]
    }

    /// Reports a digit whose end never came.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Digit> {
        self.poll_timeout().filter(|&due| now >= due).and_then(|_| self.finish())
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.open.map(|open| open.last_heard + LOST_END)
    }

    /// Forgets positions after a change of the stream, whose timestamps are unrelated.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    fn finish(&mut self) -> Option<Digit> {
        let open = self.open.take()?;
        self.last = Some(open.timestamp);
        Some(open.digit)
    }
}

/// One 20 ms step of sending digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtmfTick {
    /// Send this payload. `age` is how many ticks ago the digit began: its timestamp does not move.
    Event {
        /// The four bytes of the event.
        payload: [u8; 4],
        /// Ticks since the digit began; 0 asks for the marker bit.
        age: u16,
    },
    /// Between two digits: send nothing, let time pass.
    Pause,
}

/// Turns digits into event payloads, one step per play-out tick.
#[derive(Debug, Default)]
pub struct DtmfSender {
    digits: VecDeque<Digit>,
    tick: u16,
}

impl DtmfSender {
    /// Queues a digit; `false` when [`SEND_LIMIT`] digits wait already.
    pub fn push(&mut self, digit: Digit) -> bool {
        let room = self.digits.len() < SEND_LIMIT;
        if room {
            self.digits.push_back(digit);
        }
        room
    }

    /// Whether a digit is being sent or waits.
    pub fn is_busy(&self) -> bool {
        !self.digits.is_empty()
    }

    /// The next step; `None` when there is nothing to send.
    pub fn next_tick(&mut self) -> Option<DtmfTick> {
        let digit = *self.digits.front()?;
        let age = self.tick;
        self.tick += 1;
        if age >= TONE_TICKS + END_REPEATS {
            if self.tick >= TONE_TICKS + END_REPEATS + PAUSE_TICKS {
                self.digits.pop_front();
                self.tick = 0;
            }
            return Some(DtmfTick::Pause);
        }
        let ticks = (age + 1).min(TONE_TICKS);
        let [high, low] = (ticks * TICK_SAMPLES).to_be_bytes();
        let end = if ticks == TONE_TICKS { 0x80 } else { 0 };
        Some(DtmfTick::Event { payload: [digit.event(), end | VOLUME, high, low], age })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(c: char) -> Digit {
        Digit::from_char(c).unwrap()
    }

    #[test]
    fn each_digit_is_reported_once_with_repeated_ends_and_no_marker() {
        let now = Instant::now();
        let mut receiver = DtmfReceiver::default();
        let mut heard = String::new();
        for (ts, event) in [(1000, 1), (3000, 1), (5000, 11)] {
            for flags in [0x0a, 0x0a, 0x8a, 0x8a, 0x8a] {
                let digits = receiver.handle(&[event, flags, 0, 160], RtpTimestamp(ts), now);
                heard.extend(digits.into_iter().flatten().map(Digit::to_char));
            }
        }
        assert_eq!(heard, "11#");
    }

    #[test]
    fn a_digit_whose_end_was_lost_is_reported_by_the_next_or_by_time() {
        let now = Instant::now();
        let mut receiver = DtmfReceiver::default();
        assert_eq!(receiver.handle(&[5, 10, 0, 160], RtpTimestamp(10), now), [None, None]);
        assert_eq!(receiver.handle(&[6, 10, 0, 160], RtpTimestamp(900), now), [Some(key('5')), None]);
        assert_eq!(receiver.handle_timeout(now + LOST_END / 2), None);
        assert_eq!(receiver.handle_timeout(now + LOST_END), Some(key('6')));
        assert_eq!(receiver.handle(&[6, 0x8a, 0, 160], RtpTimestamp(900), now + LOST_END), [None, None]);
        assert_eq!(receiver.poll_timeout(), None);
    }

    #[test]
    fn what_the_sender_sends_the_receiver_reads() {
        let now = Instant::now();
        let (mut sender, mut receiver) = (DtmfSender::default(), DtmfReceiver::default());
        for c in "0123456789*#ABCD".chars() {
            assert!(sender.push(key(c)));
        }
        let (mut position, mut heard, mut packets) = (0u32, String::new(), 0);
        while let Some(tick) = sender.next_tick() {
            if let DtmfTick::Event { payload, age } = tick {
                packets += 1;
                let start = RtpTimestamp(position.wrapping_sub(u32::from(age) * 160));
                let digits = receiver.handle(&payload, start, now);
                heard.extend(digits.into_iter().flatten().map(Digit::to_char));
            }
            position += 160;
        }
        assert_eq!(heard, "0123456789*#ABCD");
        assert_eq!(packets, 16 * 7);
        assert_eq!(position, 16 * 9 * 160);
    }

    #[test]
    fn the_queue_of_digits_is_bounded() {
        let mut sender = DtmfSender::default();
        let taken = (0..SEND_LIMIT + 5).filter(|_| sender.push(key('1'))).count();
        assert_eq!(taken, SEND_LIMIT);
    }
}
