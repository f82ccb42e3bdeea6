//! Whole calls over good and bad networks.

use std::time::{Duration, Instant};

use super::super::{
    DialogEnd, Endpoint, EndpointConfig, EndpointCounts, EndpointLimits, EndpointSeed, Event,
};
use super::pair::{FAIR, Pair, Rng, Side, Weather, callee_addr, caller_addr, sdp};
use crate::digest::{
    AuthorizationHeader, DigestConfig, DigestServer, DigestVerification, EpochSeconds, Ha1Pair, NonceSecret,
    Realm,
};
use crate::message::StatusCode;

fn ended(event: &Event) -> Option<DialogEnd> {
    match event {
        Event::Ended { end, .. } => Some(end.clone()),
        _ => None,
    }
}

#[test]
fn a_call_is_set_up_and_cleared_by_the_caller() {
    let (mut pair, ours, _) = Pair::established(1, FAIR);
    pair.caller.hang_up(ours, pair.now).unwrap();
    pair.settle();
    assert_eq!(pair.until_callee(ended), DialogEnd::ByeReceived);
    assert_eq!(pair.until_caller(ended), DialogEnd::ByeSent { confirmed: true });
    pair.drain();
}

#[test]
fn a_call_is_cleared_by_the_callee() {
    let (mut pair, _, theirs) = Pair::established(1, FAIR);
    pair.callee.hang_up(theirs, pair.now).unwrap();
    pair.settle();
    assert_eq!(pair.until_caller(ended), DialogEnd::ByeReceived);
    assert_eq!(pair.until_callee(ended), DialogEnd::ByeSent { confirmed: true });
    pair.drain();
}

#[test]
fn calls_complete_and_leave_nothing_over_whatever_the_network_does() {
    let storm = Weather { lost: 25, doubled: 20, delay_ms: 700 };
    for seed in 1..=200 {
        let mut pair = Pair::new(seed, storm);
        let ours = pair.call(None);
        let theirs = pair.incoming();
        let _ringing = pair.callee.ring(theirs, pair.now);
        pair.callee.accept(theirs, &sdp("v=0 answer"), pair.now).unwrap();
        pair.settle();
        pair.until_caller(|event| matches!(event, Event::Answered { .. }).then_some(()));
        if seed % 2 == 0 {
            pair.until_callee(|event| matches!(event, Event::Confirmed { .. }).then_some(()));
            pair.callee.hang_up(theirs, pair.now).unwrap();
        } else {
            pair.caller.hang_up(ours, pair.now).unwrap();
        }
        pair.settle();
        pair.drain();
        let ends = |events: &[Event]| events.iter().filter_map(ended).count();
        assert_eq!((ends(&pair.caller_events), ends(&pair.callee_events)), (1, 1), "seed {seed}");
    }
}

fn digest_server() -> DigestServer {
    let realm = Realm::new("telepath.test");
    let config = DigestConfig { realm, nonce_lifetime_seconds: 60, max_nonces: 100 };
    DigestServer::new(config, NonceSecret::new([1; 32]), [2; 32])
}

/// Judges the latest call that came in, challenging or accepting it.
fn judge(pair: &mut Pair, server: &mut DigestServer, judged: usize) -> Option<DigestVerification> {
    let now = EpochSeconds(1_800_000_000);
    let calls = pair.callee_events.iter().filter_map(|event| match event {
        Event::Incoming(incoming) => Some((incoming.call, incoming.request.clone())),
        _ => None,
    });
    let (call, request) = calls.skip(judged).last()?;
    let ha1 = Ha1Pair::derive("alice", "telepath.test", "open sesame");
    let verdict = match server.read_authorization(&request) {
        AuthorizationHeader::Credentials(credentials) => {
            Some(server.verify(&credentials, &request, Some(&ha1), now))
        }
        AuthorizationHeader::Absent | AuthorizationHeader::Malformed => None,
    };
    if verdict == Some(DigestVerification::Valid) {
        pair.callee.accept(call, &sdp("v=0 answer"), pair.now).unwrap();
    } else {
        let challenges = server.challenge(false, now);
        pair.callee.challenge(call, &challenges, pair.now).unwrap();
    }
    pair.settle();
    Some(verdict.unwrap_or(DigestVerification::Stale))
}

fn incoming_calls(pair: &Pair) -> usize {
    pair.callee_events.iter().filter(|event| matches!(event, Event::Incoming(_))).count()
}

#[test]
fn a_caller_who_knows_the_password_passes_the_challenge() {
    for seed in 1..=50 {
        let mut pair = Pair::new(seed, Weather { lost: 15, doubled: 15, delay_ms: 300 });
        let mut server = digest_server();
        let ours = pair.call(Some(("alice", "open sesame")));
        for judged in 0..2 {
            while incoming_calls(&pair) <= judged {
                assert!(pair.step());
            }
            judge(&mut pair, &mut server, judged);
        }
        pair.until_caller(|event| matches!(event, Event::Answered { .. }).then_some(()));
        pair.caller.hang_up(ours, pair.now).unwrap();
        pair.settle();
        pair.drain();
        let causes: Vec<DialogEnd> = pair.callee_events.iter().filter_map(ended).collect();
        assert_eq!(causes.len(), 2, "seed {seed}");
        assert_eq!(causes[0], DialogEnd::Challenged, "seed {seed}");
    }
}

#[test]
fn a_caller_with_a_wrong_password_is_refused_and_tries_no_more() {
    let mut pair = Pair::new(1, FAIR);
    let mut server = digest_server();
    pair.call(Some(("alice", "guess")));
    for judged in 0..2 {
        while incoming_calls(&pair) <= judged {
            assert!(pair.step());
        }
        judge(&mut pair, &mut server, judged);
    }
    match pair.until_caller(ended) {
        DialogEnd::RejectedByPeer { status, .. } => assert_eq!(status, StatusCode::UNAUTHORIZED),
        other => panic!("{other:?}"),
    }
    pair.drain();
    assert_eq!(incoming_calls(&pair), 2);
}

#[test]
fn a_call_taken_back_while_it_rings_is_over_on_both_sides() {
    for seed in 1..=100 {
        let mut pair = Pair::new(seed, Weather { lost: 20, doubled: 20, delay_ms: 400 });
        let ours = pair.call(None);
        let theirs = pair.incoming();
        pair.callee.ring(theirs, pair.now).unwrap();
        pair.settle();
        pair.caller.cancel(ours, pair.now).unwrap();
        pair.settle();
        pair.drain();
        assert_eq!(pair.caller_events.iter().find_map(ended), Some(DialogEnd::Cancelled), "seed {seed}");
        assert_eq!(pair.callee_events.iter().find_map(ended), Some(DialogEnd::Cancelled), "seed {seed}");
    }
}

#[test]
fn an_answer_that_crosses_the_cancel_is_acknowledged_and_hung_up() {
    let mut pair = Pair::new(1, FAIR);
    let ours = pair.call(None);
    let theirs = pair.incoming();
    pair.callee.accept(theirs, &sdp("v=0 answer"), pair.now).unwrap();
    pair.caller.cancel(ours, pair.now).unwrap();
    pair.settle();
    pair.drain();
    assert_eq!(pair.caller_events.iter().find_map(ended), Some(DialogEnd::Cancelled));
    assert_eq!(pair.callee_events.iter().find_map(ended), Some(DialogEnd::ByeReceived));
    assert!(!pair.caller_events.iter().any(|event| matches!(event, Event::Answered { .. })));
}

#[test]
fn nobody_at_the_far_end_ends_the_call_after_64_t1() {
    let mut pair = Pair::new(1, Weather { lost: 100, doubled: 0, delay_ms: 1 });
    let start = pair.now;
    pair.call(None);
    assert_eq!(pair.until_caller(ended), DialogEnd::InviteTimeout);
    assert_eq!(pair.now - start, Duration::from_secs(32));
    assert_eq!(pair.log.len(), 7, "one INVITE and six repetitions");
    pair.drain();
}

#[test]
fn a_refusal_is_told_to_the_caller() {
    let mut pair = Pair::new(1, FAIR);
    pair.call(None);
    let theirs = pair.incoming();
    pair.callee.reject(theirs, StatusCode::NOT_FOUND, None, pair.now).unwrap();
    pair.settle();
    let refused = DialogEnd::RejectedByPeer { status: StatusCode::NOT_FOUND, phrase: "Not Found".to_owned() };
    assert_eq!(pair.until_caller(ended), refused);
    pair.drain();
}

#[test]
fn when_both_hang_up_at_once_both_calls_end() {
    let (mut pair, ours, theirs) = Pair::established(1, FAIR);
    pair.caller.hang_up(ours, pair.now).unwrap();
    pair.callee.hang_up(theirs, pair.now).unwrap();
    pair.settle();
    pair.drain();
    assert_eq!(pair.caller_events.iter().find_map(ended), Some(DialogEnd::ByeSent { confirmed: true }));
    assert_eq!(pair.callee_events.iter().find_map(ended), Some(DialogEnd::ByeSent { confirmed: true }));
}

#[test]
fn a_second_callee_that_answers_the_same_invite_is_hung_up() {
    let (mut pair, ours, _) = Pair::established(1, FAIR);
    let answer =
        pair.log.iter().find(|(side, text)| *side == Side::Callee && text.starts_with("SIP/2.0 200"));
    let (_, answer) = answer.cloned().unwrap();
    let at = answer.find("\r\nTo: ").unwrap();
    let tag = answer[at..].find(";tag=").unwrap() + at + ";tag=".len();
    let mut forked = answer.clone();
    forked.replace_range(tag..tag + 3, "zzz");
    pair.log.clear();
    pair.caller.handle_datagram(callee_addr(), forked.as_bytes(), pair.now);
    pair.caller.handle_datagram(callee_addr(), answer.as_bytes(), pair.now);
    pair.settle();
    let sent: Vec<&str> = pair.log.iter().map(|(_, text)| &text[..3]).collect();
    assert_eq!(sent, ["ACK", "BYE", "ACK"], "the stranger is hung up, the repeated answer acknowledged");
    assert!(pair.log[1].1.contains(";tag=zzz"));
    pair.caller.hang_up(ours, pair.now).unwrap();
    pair.settle();
    pair.drain();
}

#[test]
fn sequence_numbers_only_count_up_and_from_and_to_never_change() {
    let mut pair = Pair::new(3, FAIR);
    let mut server = digest_server();
    let ours = pair.call(Some(("alice", "open sesame")));
    for judged in 0..2 {
        while incoming_calls(&pair) <= judged {
            assert!(pair.step());
        }
        judge(&mut pair, &mut server, judged);
    }
    pair.until_caller(|event| matches!(event, Event::Answered { .. }).then_some(()));
    pair.caller.hang_up(ours, pair.now).unwrap();
    pair.settle();
    pair.drain();
    let line = |text: &str, name: &str| text.lines().find(|l| l.starts_with(name)).unwrap().to_owned();
    let requests = pair.log.iter().filter(|(side, text)| *side == Side::Caller && !text.starts_with("SIP"));
    let texts: Vec<&String> = requests.map(|(_, text)| text).collect();
    let cseqs: Vec<String> = texts.iter().map(|text| line(text, "CSeq: ")).collect();
    assert_eq!(cseqs, ["CSeq: 1 INVITE", "CSeq: 1 ACK", "CSeq: 2 INVITE", "CSeq: 2 ACK", "CSeq: 3 BYE"]);
    assert!(texts.iter().all(|text| line(text, "From: ") == line(texts[0], "From: ")));
    assert!(texts.iter().all(|text| line(text, "Call-ID: ") == line(texts[0], "Call-ID: ")));
}

/// One byte or more of a message changed at random.
fn mutate(bytes: &[u8], dice: &mut Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.roll(6) {
        let at = usize::try_from(dice.roll(bytes.len() as u64)).unwrap();
        match dice.roll(4) {
            0 => bytes[at] = u8::try_from(dice.roll(256)).unwrap(),
            1 => bytes.insert(at, b";,<>\"\\\r\n %:@?="[usize::try_from(dice.roll(14)).unwrap()]),
            2 => bytes.truncate(at.max(1)),
            _ => bytes.rotate_left(at.min(3)),
        }
    }
    bytes
}

#[test]
fn a_hundred_thousand_broken_packets_leave_bounded_and_finally_no_state() {
    let (pair, _, _) = Pair::established(5, FAIR);
    let base: Vec<(Side, String)> = pair.log.clone();
    let limits = EndpointLimits { max_calls: 50, max_server_transactions: 200, ..EndpointLimits::default() };
    let config = EndpointConfig { limits, ..EndpointConfig::new(callee_addr()) };
    let mut endpoint = Endpoint::new(config, EndpointSeed([4; 32]));
    let mut dice = Rng::new(99);
    let mut now = pair.now;
    let mut calls = 0_u32;
    for n in 0..100_000_usize {
        let (_, text) = &base[n % base.len()];
        let call = n / base.len();
        let text = text
            .replace("Call-ID: ", &format!("Call-ID: {call}"))
            .replace("z9hG4bK", &format!("z9hG4bK{call}"));
        endpoint.handle_datagram(caller_addr(), &mutate(text.as_bytes(), &mut dice), now);
        now += Duration::from_millis(5);
        endpoint.handle_timeout(now);
        while endpoint.poll_transmit().is_some() {}
        while let Some(event) = endpoint.poll_event() {
            if let Event::Incoming(incoming) = event {
                calls += 1;
                if calls.is_multiple_of(2) {
                    endpoint.accept(incoming.call, &sdp("v=0"), now).unwrap();
                } else {
                    endpoint.reject(incoming.call, StatusCode::NOT_FOUND, None, now).unwrap();
                }
            }
        }
        let counts = endpoint.counts();
        assert!(
            counts.calls <= 50 && counts.dialogs <= 50 && counts.server_transactions <= 200,
            "{counts:?}"
        );
        assert!(counts.timers <= 2 * 50 + 2 * 200 + 2 * counts.client_transactions, "{counts:?}");
    }
    assert!(calls > 500, "some of the packets were sound enough to be calls: {calls}");
    while let Some(at) = endpoint.poll_timeout() {
        endpoint.handle_timeout(at);
        while endpoint.poll_transmit().is_some() {}
        while endpoint.poll_event().is_some() {}
    }
    assert_eq!(endpoint.counts(), EndpointCounts::default());
}

#[test]
fn when_nobody_polls_the_queues_stay_bounded_and_nothing_is_lost_but_datagrams() {
    let limits = EndpointLimits { max_queue: 8, ..EndpointLimits::default() };
    let config = EndpointConfig { limits, ..EndpointConfig::new(callee_addr()) };
    let mut endpoint = Endpoint::new(config, EndpointSeed([4; 32]));
    for _ in 0..100 {
        endpoint.handle_datagram(caller_addr(), b"NOTSIP\r\n\r\n", Instant::now());
    }
    assert_eq!(std::iter::from_fn(|| endpoint.poll_event()).count(), 8);
    assert_eq!(endpoint.dropped_when_full(), 92);
}
