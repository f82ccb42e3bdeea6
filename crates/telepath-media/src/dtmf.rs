//! DTMF digits as telephone events (RFC 4733): decoding and encoding of event payloads.
//!
//! An event is identified by its RTP timestamp and ends with its E bit. The marker bit and the number of packets are
//! ignored, because carriers lose and repeat packets. Each digit is reported exactly once.

use crate::rtp::RtpTimestamp;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// An event whose end packets were lost counts as ended after this long without a packet.
pub const LOST_END: Duration = Duration::from_millis(300);
/// Maximum number of digits queued for sending.
pub const SEND_LIMIT: usize = 64;

/// Samples per tick of 20 ms. Event durations are counted in samples.
const TICK_SAMPLES: u16 = 160;
/// Duration of a sent event in ticks.
const EVENT_TICKS: u16 = 5;
/// Retransmissions of the end packet (RFC 4733 section 2.5.1.4).
const END_REPEATS: u16 = 2;
/// Ticks of pause after the last end packet.
const PAUSE_TICKS: u16 = 2;
/// Volume in -dBm0.
const VOLUME: u8 = 10;

/// A DTMF digit: 0 to 9, `*`, `#`, A to D.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digit(u8);

impl Digit {
    const KEYS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

    /// The digit with this event code (RFC 4733 section 3.2); `None` for other events, such as flash.
    pub fn from_event(code: u8) -> Option<Self> {
        (code < 16).then_some(Self(code))
    }

    /// The digit written as this character; case is ignored.
    pub fn from_char(key: char) -> Option<Self> {
        let index = Self::KEYS.iter().position(|&known| known == key.to_ascii_uppercase())?;
        u8::try_from(index).ok().map(Self)
    }

    /// The digit as a character.
    pub fn to_char(self) -> char {
        Self::KEYS[usize::from(self.0 & 15)]
    }

    /// The event code (RFC 4733 section 3.2).
    pub fn event(self) -> u8 {
        self.0
    }
}

/// Decodes event payloads to digits.
#[derive(Debug, Default)]
pub struct DtmfReceiver {
    active: Option<ActiveEvent>,
    last_reported: Option<RtpTimestamp>,
}

#[derive(Debug, Clone, Copy)]
struct ActiveEvent {
    digit: Digit,
    timestamp: RtpTimestamp,
    last_packet: Instant,
}

impl DtmfReceiver {
    /// Handles an event payload. Returns up to two digits: an earlier one whose end packets were lost, and one that
    /// ends with this packet.
    pub fn handle(&mut self, payload: &[u8], timestamp: RtpTimestamp, now: Instant) -> [Option<Digit>; 2] {
        let Some(&[event, flags, ..]) = payload.first_chunk::<4>() else { return [None, None] };
        let Some(digit) = Digit::from_event(event) else { return [None, None] };
        // A retransmitted end packet, or a late packet of a digit that was already reported.
        if self.last_reported.is_some_and(|last| timestamp.distance_from(last) <= 0) {
            return [None, None];
        }
        let previous = match self.active {
            Some(active) if timestamp.distance_from(active.timestamp) < 0 => return [None, None],
            Some(active) if active.timestamp != timestamp => self.finish(),
            Some(_) | None => None,
        };
        self.active = Some(ActiveEvent { digit, timestamp, last_packet: now });
        let ended = if flags & 0x80 == 0 { None } else { self.finish() };
        [previous, ended]
    }

    /// Returns a digit whose end packets were lost.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Digit> {
        self.poll_timeout().filter(|&due| now >= due).and_then(|_| self.finish())
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.active.map(|active| active.last_packet + LOST_END)
    }

    /// Forgets all timestamps, for a new stream with unrelated ones.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    fn finish(&mut self) -> Option<Digit> {
        let ended = self.active.take()?;
        self.last_reported = Some(ended.timestamp);
        Some(ended.digit)
    }
}

/// What to send in one tick of 20 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtmfTick {
    /// Send this payload with the timestamp of the event's start.
    Event {
        /// The event payload (RFC 4733 section 2.3).
        payload: [u8; 4],
        /// Ticks since the start of the event; 0 means that the packet carries the marker bit.
        age: u16,
    },
    /// The pause after an event: send nothing.
    Pause,
}

/// Encodes digits to event payloads, one per play-out tick.
#[derive(Debug, Default)]
pub struct DtmfSender {
    digits: VecDeque<Digit>,
    tick: u16,
}

impl DtmfSender {
    /// Queues a digit; `false` if [`SEND_LIMIT`] digits are already queued.
    pub fn push(&mut self, digit: Digit) -> bool {
        let accepted = self.digits.len() < SEND_LIMIT;
        if accepted {
            self.digits.push_back(digit);
        }
        accepted
    }

    /// Whether a digit is being sent or queued.
    pub fn is_busy(&self) -> bool {
        !self.digits.is_empty()
    }

    /// What to send in the next tick; `None` if no digit is queued.
    pub fn next_tick(&mut self) -> Option<DtmfTick> {
        let digit = *self.digits.front()?;
        let age = self.tick;
        self.tick += 1;
        if age >= EVENT_TICKS + END_REPEATS {
            if self.tick >= EVENT_TICKS + END_REPEATS + PAUSE_TICKS {
                self.digits.pop_front();
                self.tick = 0;
            }
            return Some(DtmfTick::Pause);
        }
        let ticks = (age + 1).min(EVENT_TICKS);
        let [high, low] = (ticks * TICK_SAMPLES).to_be_bytes();
        let end = if ticks == EVENT_TICKS { 0x80 } else { 0 };
        Some(DtmfTick::Event { payload: [digit.event(), end | VOLUME, high, low], age })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digit(c: char) -> Digit {
        Digit::from_char(c).unwrap()
    }

    #[test]
    fn a_digit_is_reported_once_despite_retransmitted_end_packets_and_no_marker() {
        let now = Instant::now();
        let mut receiver = DtmfReceiver::default();
        let mut decoded = String::new();
        for (ts, event) in [(1000, 1), (3000, 1), (5000, 11)] {
            for flags in [0x0a, 0x0a, 0x8a, 0x8a, 0x8a] {
                let digits = receiver.handle(&[event, flags, 0, 160], RtpTimestamp(ts), now);
                decoded.extend(digits.into_iter().flatten().map(Digit::to_char));
            }
        }
        assert_eq!(decoded, "11#");
    }

    #[test]
    fn a_digit_whose_end_packets_were_lost_is_reported_at_the_next_event_or_after_a_timeout() {
        let now = Instant::now();
        let mut receiver = DtmfReceiver::default();
        assert_eq!(receiver.handle(&[5, 10, 0, 160], RtpTimestamp(10), now), [None, None]);
        assert_eq!(receiver.handle(&[6, 10, 0, 160], RtpTimestamp(900), now), [Some(digit('5')), None]);
        assert_eq!(receiver.handle_timeout(now + LOST_END / 2), None);
        assert_eq!(receiver.handle_timeout(now + LOST_END), Some(digit('6')));
        assert_eq!(receiver.handle(&[6, 0x8a, 0, 160], RtpTimestamp(900), now + LOST_END), [None, None]);
        assert_eq!(receiver.poll_timeout(), None);
    }

    #[test]
    fn the_receiver_decodes_what_the_sender_encodes() {
        let now = Instant::now();
        let (mut sender, mut receiver) = (DtmfSender::default(), DtmfReceiver::default());
        for c in "0123456789*#ABCD".chars() {
            assert!(sender.push(digit(c)));
        }
        let (mut position, mut decoded, mut packets) = (0u32, String::new(), 0);
        while let Some(tick) = sender.next_tick() {
            if let DtmfTick::Event { payload, age } = tick {
                packets += 1;
                let start = RtpTimestamp(position.wrapping_sub(u32::from(age) * 160));
                let digits = receiver.handle(&payload, start, now);
                decoded.extend(digits.into_iter().flatten().map(Digit::to_char));
            }
            position += 160;
        }
        assert_eq!(decoded, "0123456789*#ABCD");
        assert_eq!(packets, 16 * 7);
        assert_eq!(position, 16 * 9 * 160);
    }

    #[test]
    fn the_send_queue_is_bounded() {
        let mut sender = DtmfSender::default();
        let accepted = (0..SEND_LIMIT + 5).filter(|_| sender.push(digit('1'))).count();
        assert_eq!(accepted, SEND_LIMIT);
    }
}
