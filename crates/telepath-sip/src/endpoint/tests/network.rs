//! Whole calls between two endpoints, with and without packet loss.

use std::time::{Duration, Instant};

use super::super::{
    DialogEnd, Endpoint, EndpointConfig, EndpointCounts, EndpointLimits, EndpointSeed, Event,
};
use super::pair::{
    NetworkConditions, Pair, RELIABLE, Rng, Side, callee_addr, caller_addr, from_callee, from_caller, sdp,
};
use crate::digest::{
    AuthorizationHeader, DigestAlgorithms, DigestConfig, DigestServer, DigestVerification, EpochSeconds,
    Ha1Pair, NonceSecret, Realm,
};
use crate::message::StatusCode;

fn ended(event: &Event) -> Option<DialogEnd> {
    match event {
        Event::Ended { end, .. } => Some(end.clone()),
        _ => None,
    }
}

#[test]
fn the_caller_hangs_up() {
    let (mut pair, ours, _) = Pair::established(1, RELIABLE);
    pair.caller.hang_up(ours, pair.now).unwrap();
    pair.settle();
    assert_eq!(pair.until_callee(ended), DialogEnd::ByeReceived);
    assert_eq!(pair.until_caller(ended), DialogEnd::ByeSent { confirmed: true });
    pair.drain();
}

#[test]
fn the_callee_hangs_up() {
    let (mut pair, _, theirs) = Pair::established(1, RELIABLE);
    pair.callee.hang_up(theirs, pair.now).unwrap();
    pair.settle();
    assert_eq!(pair.until_caller(ended), DialogEnd::ByeReceived);
    assert_eq!(pair.until_callee(ended), DialogEnd::ByeSent { confirmed: true });
    pair.drain();
}

#[test]
fn calls_complete_without_leaks_despite_packet_loss() {
    let lossy = NetworkConditions { lost: 25, duplicated: 20, delay_ms: 700 };
    for seed in 1..=200 {
        let mut pair = Pair::new(seed, lossy);
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
    let algorithms = DigestAlgorithms::Both;
    let config = DigestConfig { realm, nonce_lifetime_seconds: 60, max_nonces: 100, algorithms };
    DigestServer::new(config, NonceSecret::new([1; 32]), 2)
}

/// Verifies the credentials of the latest incoming call, then accepts or challenges it.
fn authenticate(pair: &mut Pair, server: &mut DigestServer, skip: usize) -> Option<DigestVerification> {
    let now = EpochSeconds(1_800_000_000);
    let calls = pair.callee_events.iter().filter_map(|event| match event {
        Event::Incoming(incoming) => Some((incoming.call, incoming.request.clone())),
        _ => None,
    });
    let (call, request) = calls.skip(skip).last()?;
    let ha1 = Ha1Pair::derive("alice", "telepath.test", "open sesame");
    let verification = match server.read_authorization(request.headers()) {
        AuthorizationHeader::Credentials(credentials) => {
            Some(server.verify(&credentials, &request, caller_addr().ip(), Some(&ha1), now))
        }
        AuthorizationHeader::Absent | AuthorizationHeader::Malformed => None,
    };
    if verification == Some(DigestVerification::Valid) {
        pair.callee.accept(call, &sdp("v=0 answer"), pair.now).unwrap();
    } else {
        let challenges = server.challenge(false, caller_addr().ip(), now);
        pair.callee.challenge(call, &challenges, pair.now).unwrap();
    }
    pair.settle();
    Some(verification.unwrap_or(DigestVerification::Stale))
}

fn incoming_calls(pair: &Pair) -> usize {
    pair.callee_events.iter().filter(|event| matches!(event, Event::Incoming(_))).count()
}

#[test]
fn a_caller_with_the_right_password_answers_the_challenge() {
    for seed in 1..=50 {
        let mut pair = Pair::new(seed, NetworkConditions { lost: 15, duplicated: 15, delay_ms: 300 });
        let mut server = digest_server();
        let ours = pair.call(Some(("alice", "open sesame")));
        for attempt in 0..2 {
            while incoming_calls(&pair) <= attempt {
                assert!(pair.step());
            }
            authenticate(&mut pair, &mut server, attempt);
        }
        pair.until_caller(|event| matches!(event, Event::Answered { .. }).then_some(()));
        pair.caller.hang_up(ours, pair.now).unwrap();
        pair.settle();
        pair.drain();
        let ends: Vec<DialogEnd> = pair.callee_events.iter().filter_map(ended).collect();
        assert_eq!(ends.len(), 2, "seed {seed}");
        assert_eq!(ends[0], DialogEnd::Challenged, "seed {seed}");
    }
}

#[test]
fn a_caller_with_a_wrong_password_gives_up_after_one_attempt() {
    let mut pair = Pair::new(1, RELIABLE);
    let mut server = digest_server();
    pair.call(Some(("alice", "guess")));
    for attempt in 0..2 {
        while incoming_calls(&pair) <= attempt {
            assert!(pair.step());
        }
        authenticate(&mut pair, &mut server, attempt);
    }
    match pair.until_caller(ended) {
        DialogEnd::RejectedByPeer { status, .. } => assert_eq!(status, StatusCode::UNAUTHORIZED),
        other => panic!("{other:?}"),
    }
    pair.drain();
    assert_eq!(incoming_calls(&pair), 2);
}

#[test]
fn cancel_while_ringing_ends_the_call_on_both_sides() {
    for seed in 1..=100 {
        let mut pair = Pair::new(seed, NetworkConditions { lost: 20, duplicated: 20, delay_ms: 400 });
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
fn a_2xx_that_crosses_cancel_gets_ack_and_bye() {
    let mut pair = Pair::new(1, RELIABLE);
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
fn an_invite_without_response_times_out_after_64_t1() {
    let mut pair = Pair::new(1, NetworkConditions { lost: 100, duplicated: 0, delay_ms: 1 });
    let start = pair.now;
    pair.call(None);
    assert_eq!(pair.until_caller(ended), DialogEnd::InviteTimeout);
    assert_eq!(pair.now - start, Duration::from_secs(32));
    assert_eq!(pair.log.len(), 7, "one INVITE and six retransmissions");
    pair.drain();
}

#[test]
fn the_caller_learns_the_status_of_a_rejection() {
    let mut pair = Pair::new(1, RELIABLE);
    pair.call(None);
    let theirs = pair.incoming();
    pair.callee.reject(theirs, StatusCode::NOT_FOUND, None, pair.now).unwrap();
    pair.settle();
    let rejected =
        DialogEnd::RejectedByPeer { status: StatusCode::NOT_FOUND, phrase: "Not Found".to_owned() };
    assert_eq!(pair.until_caller(ended), rejected);
    pair.drain();
}

#[test]
fn bye_from_both_sides_at_once_ends_the_call() {
    let (mut pair, ours, theirs) = Pair::established(1, RELIABLE);
    pair.caller.hang_up(ours, pair.now).unwrap();
    pair.callee.hang_up(theirs, pair.now).unwrap();
    pair.settle();
    pair.drain();
    assert_eq!(pair.caller_events.iter().find_map(ended), Some(DialogEnd::ByeSent { confirmed: true }));
    assert_eq!(pair.callee_events.iter().find_map(ended), Some(DialogEnd::ByeSent { confirmed: true }));
}

#[test]
fn a_forked_2xx_gets_ack_and_bye() {
    let (mut pair, ours, _) = Pair::established(1, RELIABLE);
    let answer =
        pair.log.iter().find(|(side, text)| *side == Side::Callee && text.starts_with("SIP/2.0 200"));
    let (_, answer) = answer.cloned().unwrap();
    let at = answer.find("\r\nTo: ").unwrap();
    let tag = answer[at..].find(";tag=").unwrap() + at + ";tag=".len();
    let mut forked = answer.clone();
    forked.replace_range(tag..tag + 3, "zzz");
    pair.log.clear();
    pair.caller.handle_message(from_callee(), forked.as_bytes(), pair.now);
    pair.caller.handle_message(from_callee(), answer.as_bytes(), pair.now);
    pair.settle();
    let sent: Vec<&str> = pair.log.iter().map(|(_, text)| &text[..3]).collect();
    assert_eq!(sent, ["ACK", "BYE", "ACK"], "ACK and BYE for the second callee, ACK for the retransmission");
    assert!(pair.log[1].1.contains(";tag=zzz"));
    pair.caller.hang_up(ours, pair.now).unwrap();
    pair.settle();
    pair.drain();
}

#[test]
fn cseq_increases_and_from_and_call_id_stay_the_same() {
    let mut pair = Pair::new(3, RELIABLE);
    let mut server = digest_server();
    let ours = pair.call(Some(("alice", "open sesame")));
    for attempt in 0..2 {
        while incoming_calls(&pair) <= attempt {
            assert!(pair.step());
        }
        authenticate(&mut pair, &mut server, attempt);
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

/// Changes one to six places of a message at random.
fn mutate(bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=rng.below(6) {
        let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
        match rng.below(4) {
            0 => bytes[at] = u8::try_from(rng.below(256)).unwrap(),
            1 => bytes.insert(at, b";,<>\"\\\r\n %:@?="[usize::try_from(rng.below(14)).unwrap()]),
            2 => bytes.truncate(at.max(1)),
            _ => bytes.rotate_left(at.min(3)),
        }
    }
    bytes
}

#[test]
fn mutated_packets_create_bounded_state_that_expires() {
    let (pair, _, _) = Pair::established(5, RELIABLE);
    let base: Vec<(Side, String)> = pair.log.clone();
    let limits = EndpointLimits { max_calls: 50, max_server_transactions: 200, ..EndpointLimits::default() };
    let config = EndpointConfig { limits, ..EndpointConfig::new(callee_addr()) };
    let mut endpoint = Endpoint::new(config, EndpointSeed([4; 32]));
    let mut rng = Rng::new(99);
    let mut now = pair.now;
    let mut calls = 0_u32;
    for n in 0..100_000_usize {
        let (_, text) = &base[n % base.len()];
        let call = n / base.len();
        let text = text
            .replace("Call-ID: ", &format!("Call-ID: {call}"))
            .replace("z9hG4bK", &format!("z9hG4bK{call}"));
        endpoint.handle_message(from_caller(), &mutate(text.as_bytes(), &mut rng), now);
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
    assert!(calls > 500, "enough packets were valid INVITEs: {calls}");
    while let Some(at) = endpoint.poll_timeout() {
        endpoint.handle_timeout(at);
        while endpoint.poll_transmit().is_some() {}
        while endpoint.poll_event().is_some() {}
    }
    assert_eq!(endpoint.counts(), EndpointCounts::default());
}

#[test]
fn datagrams_are_dropped_while_the_queues_are_full() {
    let limits = EndpointLimits { max_queue: 8, ..EndpointLimits::default() };
    let config = EndpointConfig { limits, ..EndpointConfig::new(callee_addr()) };
    let mut endpoint = Endpoint::new(config, EndpointSeed([4; 32]));
    for _ in 0..100 {
        endpoint.handle_message(from_caller(), b"NOTSIP\r\n\r\n", Instant::now());
    }
    assert_eq!(std::iter::from_fn(|| endpoint.poll_event()).count(), 8);
    assert_eq!(endpoint.dropped_when_full(), 92);
}
