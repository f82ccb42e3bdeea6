//! Tests of digits from callers that restart their stream.

use super::*;
use crate::caller_actions::{ACTION_LIMIT, CallerAction, DtmfMethod};
use crate::dtmf::Digit;
use crate::rtp::{Datagram, RtpHeader};

/// A caller whose SSRC, sequence numbers and timestamps can restart.
pub(super) struct Caller {
    pub(super) test: TestBridge,
    pub(super) header: RtpHeader,
}

impl Caller {
    pub(super) fn new() -> Self {
        let header = RtpHeader {
            marker: false,
            payload_type: PayloadType::PCMU,
            sequence: SequenceNumber(1000),
            timestamp: RtpTimestamp(3_000_000_000),
            ssrc: Ssrc(9),
        };
        Self { test: TestBridge::new(), header }
    }

    pub(super) fn send(&mut self, payload_type: PayloadType, timestamp: RtpTimestamp, payload: &[u8]) {
        let header = RtpHeader { payload_type, timestamp, ..self.header };
        self.test.rtp(Datagram::new(header, payload).as_bytes());
        self.header.sequence = self.header.sequence.next();
        self.header.timestamp = self.header.timestamp.after(160);
        self.test.run_for(ms(20));
    }

    pub(super) fn audio(&mut self, packets: u16) {
        for _ in 0..packets {
            self.send(PayloadType::PCMU, self.header.timestamp, &[0xff; 160]);
        }
    }

    /// Presses a key for 100 ms; the last packets have the E bit unless they are lost.
    fn press(&mut self, key: char, end_packets: u16) {
        self.press_with_loss(key, end_packets, 0);
    }

    /// The same; bit n of `lost` is the packet n that does not arrive, but the third one always does.
    pub(super) fn press_with_loss(&mut self, key: char, end_packets: u16, lost: u8) {
        let (code, start) = (Digit::from_char(key).unwrap().event(), self.header.timestamp);
        for n in 0..5u16 + end_packets {
            let [high, low] = (160 * (n + 1).min(5)).to_be_bytes();
            let end = if n >= 5 { 0x80 } else { 0 };
            if n != 2 && lost >> n & 1 == 1 {
                self.skip();
            } else {
                self.send(PayloadType::TELEPHONE_EVENT, start, &[code, end | 0x0a, high, low]);
            }
        }
    }

    /// A packet that is lost.
    fn skip(&mut self) {
        self.header.sequence = self.header.sequence.next();
        self.header.timestamp = self.header.timestamp.after(160);
        self.test.run_for(ms(20));
    }

    pub(super) fn digits(&self) -> String {
        self.test.events_of_type("dtmf").iter().map(|event| event["digit"].as_str().unwrap()).collect()
    }
}

#[test]
fn digits_after_an_ssrc_change_with_a_lower_timestamp_base_are_reported() {
    let mut caller = Caller::new();
    caller.audio(10);
    caller.press('1', 3);
    for (key, base) in [('2', 5), ('3', 2_999_999_000), ('4', 3_000_000_000), ('5', 0), ('6', 800)] {
        caller.header.ssrc = Ssrc(caller.header.ssrc.0 + 1);
        caller.header.sequence = SequenceNumber(7);
        caller.header.timestamp = RtpTimestamp(base);
        caller.audio(10);
        caller.press(key, 3);
    }
    caller.audio(10);
    assert_eq!(caller.digits(), "123456");
}

#[test]
fn digits_after_a_timestamp_restart_of_the_same_ssrc_are_reported() {
    let mut caller = Caller::new();
    caller.audio(10);
    caller.press('1', 3);
    // With a restart of the sequence numbers, and without.
    caller.header.timestamp = RtpTimestamp(1000);
    caller.press('2', 3);
    caller.header.sequence = SequenceNumber(40_000);
    caller.header.timestamp = RtpTimestamp(500);
    caller.audio(5);
    caller.press('3', 3);
    assert_eq!(caller.digits(), "123");
}

#[test]
fn a_digit_that_is_cut_off_by_an_ssrc_change_is_reported_before_the_next_one() {
    let mut caller = Caller::new();
    caller.press('8', 0);
    caller.header.ssrc = Ssrc(77);
    caller.header.timestamp = RtpTimestamp(3);
    caller.audio(10);
    caller.press('9', 3);
    assert_eq!(caller.digits(), "89");
}

#[test]
fn repeated_digits_with_lost_end_packets_are_reported_once_each() {
    for end_packets in [0, 1, 3] {
        let mut caller = Caller::new();
        for _ in 0..10 {
            caller.press('5', end_packets);
            caller.audio(2);
        }
        caller.audio(20);
        assert_eq!(caller.digits(), "5".repeat(10), "{end_packets} end packets");
    }
}

#[test]
fn a_digit_held_for_20_s_is_reported_once() {
    let mut caller = Caller::new();
    caller.audio(5);
    let mut start = caller.header.timestamp;
    let mut duration = 0u16;
    for n in 0..1000u16 {
        let grown = duration.checked_add(160);
        if grown.is_none() {
            // The next segment starts where the last one ends (RFC 4733 section 2.5.1.3).
            caller.send(PayloadType::TELEPHONE_EVENT, start, &[6, 10, 0xff, 0xff]);
            start = start.after(0xffff);
        }
        duration = grown.unwrap_or(160);
        let [high, low] = duration.to_be_bytes();
        let end = if n >= 997 { 0x80 } else { 0 };
        caller.send(PayloadType::TELEPHONE_EVENT, start, &[6, end | 0x0a, high, low]);
    }
    caller.audio(30);
    assert_eq!(caller.digits(), "6");
}

#[test]
fn a_hook_flash_is_counted() {
    let mut caller = Caller::new();
    let start = caller.header.timestamp;
    for end in [0, 0x80, 0x80, 0x80] {
        caller.send(PayloadType::TELEPHONE_EVENT, start, &[16, end | 0x0a, 0, 160]);
    }
    assert_eq!(caller.digits(), "");
    assert_eq!(caller.test.bridge.report(caller.test.now).bridge.telephone_events_ignored, 1);
}

#[test]
fn digits_are_received_with_our_payload_type_and_sent_with_the_peers() {
    let mut config = config();
    config.negotiated.send.telephone_event = PayloadType::new(96);
    let mut caller = Caller { test: TestBridge::with(config), ..Caller::new() };
    caller.press('7', 3);
    assert_eq!(caller.digits(), "7");
    caller.test.agent_text(r#"{"type":"send_dtmf","digits":"1"}"#);
    caller.test.run_for(ms(200));
    let events = caller.test.packets.iter().filter(|(_, bytes)| bytes[1] & 0x7f == 96).count();
    assert_eq!(events, 7);
}

fn recorded(caller: &Caller) -> Vec<(Duration, CallerAction)> {
    let report = caller.test.bridge.report(caller.test.now);
    report.caller_actions.iter().map(|timed| (timed.at, timed.action)).collect()
}

#[test]
fn digits_holds_and_resumes_are_recorded_with_their_time_since_the_answer() {
    let mut caller = Caller::new();
    caller.audio(10);
    let pressed = caller.test.now;
    caller.press('5', 3);
    let held = caller.test.now;
    caller.test.bridge.handle_negotiated(&media(MediaDirection::RecvOnly), held);
    // A hold that is repeated, and a digit while it lasts, are nothing new.
    caller.test.bridge.handle_negotiated(&media(MediaDirection::RecvOnly), held);
    caller.test.bridge.handle_signalled_digit(Digit::from_char('1').unwrap(), held);
    caller.test.run_for(ms(1_000));
    caller.test.bridge.handle_negotiated(&media(MediaDirection::SendRecv), caller.test.now);
    let (start, resumed) = (caller.test.start, caller.test.now);
    let digit =
        CallerAction::Dtmf { digit: Digit::from_char('5').unwrap(), method: DtmfMethod::TelephoneEvent };
    let actions = recorded(&caller);
    assert_eq!(
        actions.iter().map(|(_, action)| *action).collect::<Vec<_>>(),
        [digit, CallerAction::Hold, CallerAction::Resume]
    );
    assert!(actions[0].0 >= pressed - start && actions[0].0 <= held - start, "{actions:?}");
    assert_eq!((actions[1].0, actions[2].0), (held - start, resumed - start));
}

#[test]
fn a_digit_by_info_is_recorded_as_such_and_a_call_offered_on_hold_begins_with_it() {
    let mut test = TestBridge::with(BridgeConfig { negotiated: media(MediaDirection::RecvOnly), ..config() });
    test.bridge.handle_negotiated(&media(MediaDirection::SendRecv), test.now);
    test.bridge.handle_signalled_digit(Digit::from_char('#').unwrap(), test.now);
    let actions: Vec<_> =
        test.bridge.report(test.now).caller_actions.iter().map(|timed| timed.action).collect();
    let digit = CallerAction::Dtmf { digit: Digit::from_char('#').unwrap(), method: DtmfMethod::Info };
    assert_eq!(actions, [CallerAction::Hold, CallerAction::Resume, digit]);
}

#[test]
fn recorded_actions_are_bounded_and_further_ones_are_counted() {
    let mut test = TestBridge::new();
    for _ in 0..ACTION_LIMIT + 3 {
        test.bridge.handle_signalled_digit(Digit::from_char('0').unwrap(), test.now);
    }
    let report = test.bridge.report(test.now);
    assert_eq!((report.caller_actions.len(), report.bridge.caller_actions_omitted), (ACTION_LIMIT, 3));
}

impl Caller {
    fn info(&mut self, key: char) {
        self.test.bridge.handle_signalled_digit(Digit::from_char(key).unwrap(), self.test.now);
        self.test.run_for(ms(20));
    }
}

#[test]
fn digits_by_info_are_reported_after_digits_by_rtp() {
    let mut caller = Caller::new();
    caller.press('1', 3);
    caller.audio(60);
    // A device that has no telephone events took over.
    let mut media = media(MediaDirection::SendRecv);
    (media.receive.telephone_event, media.send.telephone_event) = (None, None);
    caller.test.bridge.handle_negotiated(&media, caller.test.now);
    caller.info('2');
    caller.info('2');
    assert_eq!(caller.digits(), "122");
}

#[test]
fn a_digit_that_is_sent_both_ways_is_reported_once_whichever_way_comes_first() {
    let mut caller = Caller::new();
    for _ in 0..3 {
        caller.info('5');
        caller.press('5', 3);
        caller.press('6', 3);
        caller.info('6');
    }
    assert_eq!(caller.digits(), "565656");
    let mut caller = Caller::new();
    caller.press('7', 3);
    caller.press('7', 3);
    caller.info('7');
    caller.info('7');
    assert_eq!(caller.digits(), "77", "the pairs of fast presses");
}

#[test]
fn a_digit_by_info_at_the_beginning_of_a_long_event_is_reported_once() {
    let mut caller = Caller::new();
    let start = caller.header.timestamp;
    caller.info('4');
    for n in 1..=200u16 {
        let [high, low] = (160 * n).to_be_bytes();
        let end = if n > 197 { 0x80 } else { 0 };
        caller.send(PayloadType::TELEPHONE_EVENT, start, &[4, end | 0x0a, high, low]);
    }
    assert_eq!(caller.digits(), "4");
    caller.audio(60);
    caller.info('4');
    assert_eq!(caller.digits(), "44", "another press");
}

#[test]
fn flash_and_malformed_events_do_not_hide_digits_by_info() {
    let mut caller = Caller::new();
    let start = caller.header.timestamp;
    caller.send(PayloadType::TELEPHONE_EVENT, start, &[16, 0x8a, 0, 160]);
    caller.send(PayloadType::TELEPHONE_EVENT, start, &[1]);
    caller.info('3');
    assert_eq!(caller.digits(), "3");
}

#[test]
fn a_hook_flash_by_info_is_counted() {
    let mut caller = Caller::new();
    caller.test.bridge.handle_signalled_flash();
    assert_eq!(caller.test.bridge.report(caller.test.now).bridge.telephone_events_ignored, 1);
}

#[test]
fn events_on_an_ssrc_of_their_own_between_audio_packets_are_reported_and_cost_no_audio() {
    let mut caller = Caller::new();
    let mut events = RtpHeader { ssrc: Ssrc(77), sequence: SequenceNumber(5), ..caller.header };
    caller.audio(10);
    for key in ['1', '2', '2'] {
        let (code, start) = (Digit::from_char(key).unwrap().event(), caller.header.timestamp);
        for n in 0..8u16 {
            let [high, low] = (160 * (n + 1).min(5)).to_be_bytes();
            let end = if n >= 5 { 0x80 } else { 0 };
            let header = RtpHeader { payload_type: PayloadType::TELEPHONE_EVENT, timestamp: start, ..events };
            let datagram = Datagram::new(header, &[code, end | 0x0a, high, low]);
            caller.test.rtp(datagram.as_bytes());
            if n == 7 {
                // A copy that comes late is no new press.
                caller.test.rtp(datagram.as_bytes());
            }
            events.sequence = events.sequence.next();
            caller.audio(1);
        }
    }
    assert_eq!(caller.digits(), "122");
    let report = caller.test.bridge.report(caller.test.now);
    assert_eq!((report.received.foreign_source, report.received.source_changes), (0, 0));
    assert_eq!(report.packets_received, 34);
}
