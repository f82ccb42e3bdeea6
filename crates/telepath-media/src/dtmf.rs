//! DTMF digits as telephone events (RFC 4733): decoding and encoding of event payloads.
//!
//! An event is identified by its code and RTP timestamp and ends with its E bit. The marker bit and the number of
//! packets are ignored, because carriers lose and repeat packets. Each digit is reported exactly once. Timestamps are
//! never compared by order, because senders restart them; the RTP receiver delivers packets in sequence.

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
    current: Option<ReceivedEvent>,
    ignored: u64,
}

/// The latest event.
#[derive(Debug, Clone, Copy)]
struct ReceivedEvent {
    code: u8,
    /// Start of the event, or of its current segment.
    timestamp: RtpTimestamp,
    /// Duration of the current segment, in samples.
    duration: u16,
    /// Whether a packet with the E bit arrived.
    ended: bool,
    reported: bool,
    last_packet: Instant,
}

impl ReceivedEvent {
    /// Whether a packet belongs to this event: a further packet of its segment, or the next segment of an event that
    /// is longer than the duration field can express (RFC 4733 section 2.5.1.3).
    fn continues_with(&self, code: u8, timestamp: RtpTimestamp) -> bool {
        let distance = timestamp.distance_from(self.timestamp);
        let next_segment = !self.ended && [self.duration, u16::MAX].map(i32::from).contains(&distance);
        self.code == code && (distance == 0 || next_segment)
    }
}

impl DtmfReceiver {
    /// Handles an event payload. Returns up to two digits: an earlier one whose end packets were lost, and one that
    /// ends with this packet.
    pub fn handle(&mut self, payload: &[u8], timestamp: RtpTimestamp, now: Instant) -> [Option<Digit>; 2] {
        let Some(&[code, flags, high, low]) = payload.first_chunk::<4>() else {
            self.ignored += 1;
            return [None, None];
        };
        let continued = self.current.is_some_and(|event| event.continues_with(code, timestamp));
        let previous = if continued { None } else { self.flush() };
        let (ended, reported) = match self.current.filter(|_| continued) {
            Some(event) => (event.ended, event.reported),
            None => (false, false),
        };
        self.current = Some(ReceivedEvent {
            code,
            timestamp,
            duration: u16::from_be_bytes([high, low]),
            ended: ended || flags & 0x80 != 0,
            reported,
            last_packet: now,
        });
        let ended = if flags & 0x80 == 0 { None } else { self.report() };
        [previous, ended]
    }

    /// Returns a digit whose end packets were lost.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Digit> {
        self.poll_timeout().filter(|&due| now >= due).and_then(|_| self.report())
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.current.filter(|event| !event.reported).map(|event| event.last_packet + LOST_END)
    }

    /// The digit whose event goes on: its end has not arrived.
    pub fn pressed(&self) -> Option<Digit> {
        self.current.filter(|event| !event.reported).and_then(|event| Digit::from_event(event.code))
    }

    /// Ends the stream: returns a digit that has not been reported, and forgets all timestamps. For a new source with
    /// unrelated ones, and for a hold.
    pub fn flush(&mut self) -> Option<Digit> {
        let digit = self.report();
        self.current = None;
        digit
    }

    /// Events that are not digits, such as flash (code 16), and malformed events.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    fn report(&mut self) -> Option<Digit> {
        let event = self.current.as_mut().filter(|event| !event.reported)?;
        event.reported = true;
        let digit = Digit::from_event(event.code);
        self.ignored += u64::from(digit.is_none());
        digit
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

    /// Handles packets given as (timestamp, code, E bit, duration), 20 ms apart, and returns the digits.
    fn decode(receiver: &mut DtmfReceiver, packets: &[(u32, u8, bool, u16)]) -> String {
        let mut now = Instant::now();
        let mut decoded = String::new();
        for &(timestamp, code, end, duration) in packets {
            let [high, low] = duration.to_be_bytes();
            let payload = [code, if end { 0x8a } else { 0x0a }, high, low];
            now += Duration::from_millis(20);
            decoded.extend(receiver.handle_timeout(now).map(Digit::to_char));
            let digits = receiver.handle(&payload, RtpTimestamp(timestamp), now);
            decoded.extend(digits.into_iter().flatten().map(Digit::to_char));
        }
        decoded
    }

    /// The packets of one press: updates and three end packets.
    fn press(start: u32, code: u8) -> Vec<(u32, u8, bool, u16)> {
        [(false, 160), (false, 320), (false, 480), (true, 640), (true, 640), (true, 640)]
            .map(|(end, duration)| (start, code, end, duration))
            .to_vec()
    }

    #[test]
    fn digits_after_a_timestamp_restart_are_reported() {
        let mut receiver = DtmfReceiver::default();
        for start in [4_000_000_000, 3_999_000_000, 160, 80, 2_147_483_700, 81] {
            assert_eq!(decode(&mut receiver, &press(start, 5)), "5", "{start}");
        }
    }

    #[test]
    fn the_same_key_pressed_repeatedly_is_one_digit_per_press() {
        let mut receiver = DtmfReceiver::default();
        let packets: Vec<_> = (0..20).flat_map(|n| press(n * 1440, 7)).collect();
        assert_eq!(decode(&mut receiver, &packets), "7".repeat(20));
        // Every end packet is lost, and the pause is short.
        let packets: Vec<_> =
            (0..20).flat_map(|n| press(100_000 + n * 1440, 7)).filter(|packet| !packet.2).collect();
        let digits = decode(&mut receiver, &packets);
        assert_eq!(digits.len() + usize::from(receiver.flush().is_some()), 20);
    }

    #[test]
    fn a_long_digit_in_segments_is_reported_once() {
        // 20 s: two segments of the maximum duration and a rest (RFC 4733 section 2.5.1.3), one packet every 50 ms.
        for loss in 0..4 {
            let mut packets = Vec::new();
            let mut left = 160_000;
            let mut start = 0xffff_0000_u32;
            while left > 0 {
                let segment = left.min(65_535);
                packets.extend(
                    (400..segment).step_by(400).map(|at| (start, 9, false, u16::try_from(at).unwrap())),
                );
                packets.push((start, 9, false, u16::try_from(segment).unwrap()));
                left -= segment;
                if left == 0 {
                    packets.extend([(start, 9, true, u16::try_from(segment).unwrap()); 3]);
                }
                start = start.wrapping_add(u32::try_from(segment).unwrap());
            }
            // In each run other packets are lost, among them the last ones of segments.
            let kept: Vec<_> = packets
                .iter()
                .enumerate()
                .filter(|(n, packet)| packet.2 || loss == 0 || (n + loss) % 4 != 0)
                .map(|(_, packet)| *packet)
                .collect();
            let mut receiver = DtmfReceiver::default();
            assert_eq!(decode(&mut receiver, &kept), "9", "loss {loss}");
        }
    }

    #[test]
    fn a_segment_continues_a_digit_that_was_already_reported_as_lost() {
        let mut receiver = DtmfReceiver::default();
        let now = Instant::now();
        assert_eq!(receiver.handle(&[3, 10, 0xff, 0xff], RtpTimestamp(0), now), [None, None]);
        assert_eq!(receiver.handle_timeout(now + LOST_END), Some(digit('3')));
        assert_eq!(receiver.handle(&[3, 10, 1, 0], RtpTimestamp(65_535), now + LOST_END), [None, None]);
        assert_eq!(receiver.handle(&[3, 0x8a, 2, 0], RtpTimestamp(65_535), now + LOST_END), [None, None]);
        assert_eq!(receiver.poll_timeout(), None);
    }

    #[test]
    fn flash_and_other_events_are_counted_and_do_not_hide_digits() {
        let mut receiver = DtmfReceiver::default();
        let packets: Vec<_> = [(0, 16), (2000, 4), (4000, 16), (6000, 36), (8000, 4)]
            .into_iter()
            .flat_map(|(at, code)| press(at, code))
            .collect();
        assert_eq!(decode(&mut receiver, &packets), "44");
        assert_eq!(receiver.ignored(), 3);
        assert_eq!(receiver.handle(&[1, 2, 3], RtpTimestamp(9000), Instant::now()), [None, None]);
        assert_eq!(receiver.ignored(), 4);
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
