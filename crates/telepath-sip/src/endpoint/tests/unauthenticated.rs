//! INVITEs of callers that are not authenticated yet: what they may store, and what is sent to them.

use std::time::Duration;

use super::super::{EndpointCounts, EndpointLimits, InviteRejection, InviteScreen, InviteScreening};
use super::harness::{Harness, INVITE, TestRequest, status, statuses, without_body};
use super::pair::from_caller;
use crate::digest::Challenge;
use crate::message::{Request, StatusCode};

struct AdmitUnauthenticated;

impl InviteScreen for AdmitUnauthenticated {
    fn screen(&mut self, _invite: &Request, _source: std::net::SocketAddr) -> InviteScreening {
        InviteScreening::AdmitUnauthenticated
    }
}

fn receive(harness: &mut Harness, text: &str) -> Vec<u16> {
    let now = harness.now;
    let screen = &mut AdmitUnauthenticated;
    harness.sent.clear();
    harness.endpoint.handle_screened_message(from_caller(), text.as_bytes(), screen, now);
    harness.collect();
    statuses(&harness.sent)
}

fn challenge(harness: &mut Harness) -> Vec<u16> {
    let challenge = Challenge("Digest realm=\"r\", nonce=\"n\"".to_owned());
    harness.sent.clear();
    harness.endpoint.challenge(harness.call(), &[challenge], harness.now).unwrap();
    harness.collect();
    statuses(&harness.sent)
}

#[test]
fn a_challenge_without_a_provisional_response_is_sent_once_for_each_invite_that_asks_for_it() {
    let mut harness = Harness::new();
    for _ in 0..3 {
        assert_eq!(receive(&mut harness, &INVITE.text()), [] as [u16; 0], "no 100 (RFC 3261 section 8.2.7)");
        assert_eq!(challenge(&mut harness), [401]);
        assert_eq!(harness.endpoint.counts(), EndpointCounts::default(), "nothing is kept");
        assert!(harness.advance(Duration::from_mins(1)).is_empty(), "the caller repeats its INVITE instead");
    }
}

#[test]
fn an_invite_without_a_response_gets_100_after_200_ms_and_then_its_challenge_is_repeated() {
    let mut harness = Harness::new();
    receive(&mut harness, &INVITE.text());
    assert!(harness.advance(Duration::from_millis(199)).is_empty());
    assert_eq!(statuses(&harness.advance(Duration::from_millis(1))), [100]);
    assert_eq!(challenge(&mut harness), [401]);
    assert_eq!(statuses(&harness.advance(Duration::from_millis(500))), [401], "timer G");
    harness.receive(&without_body("ACK sip:desk@192.0.2.20 SIP/2.0", "one", "5 ACK", ""));
    harness.advance(Duration::from_mins(1));
    assert_eq!(harness.endpoint.counts(), EndpointCounts::default());
}

#[test]
fn a_response_within_200_ms_replaces_100() {
    let mut harness = Harness::new();
    receive(&mut harness, &INVITE.text());
    harness.endpoint.ring(harness.call(), harness.now).unwrap();
    harness.collect();
    assert!(harness.advance(Duration::from_secs(5)).is_empty());
    let cancel = without_body("CANCEL sip:desk@192.0.2.20 SIP/2.0", "one", "5 CANCEL", "");
    assert_eq!(harness.statuses(&cancel), [200, 487]);
}

#[test]
fn a_rejection_that_asks_for_it_is_sent_once() {
    for once in [true, false] {
        let mut harness = Harness::new();
        receive(&mut harness, &INVITE.text());
        let rejection = InviteRejection { once, ..InviteRejection::of(StatusCode::FORBIDDEN) };
        harness.endpoint.reject_with(harness.call(), rejection, harness.now).unwrap();
        harness.collect();
        let repeated = harness.advance(Duration::from_secs(1));
        assert!(repeated.iter().all(|text| status(text) == 403));
        assert_eq!(repeated.is_empty(), once);
    }
}

#[test]
fn rejected_invites_keep_at_most_a_quarter_of_the_bytes_of_the_transactions() {
    let limits = EndpointLimits { max_server_transaction_bytes: 400_000, ..EndpointLimits::default() };
    let mut harness = Harness::with(limits);
    for n in 0..1_000 {
        let branch = format!("flood{n}");
        let invite = TestRequest { branch: &branch, ..INVITE }.text();
        let sent = harness.receive_text(&invite.replace("Call-ID: test", &format!("Call-ID: {branch}")));
        assert_eq!(statuses(&sent), [100], "{n}");
        harness.endpoint.reject(harness.call(), StatusCode::NOT_FOUND, None, harness.now).unwrap();
        harness.collect();
    }
    let kept = harness.endpoint.counts().server_transactions;
    assert!((20..=100).contains(&kept), "{kept}");
    harness.advance(Duration::from_mins(1));
    assert_eq!(harness.endpoint.counts(), EndpointCounts::default());
}
