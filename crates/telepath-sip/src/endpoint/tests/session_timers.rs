//! Session timers (RFC 4028) in both roles.

use std::time::Duration;

use super::super::{DialogEnd, EndpointCounts, Event, RejectReason, SessionIntervals};
use super::harness::{Harness, INVITE, TestRequest, header, statuses, without_body};
use super::pair::{NetworkConditions, Pair, RELIABLE, Side};

const TIMER: &str =
    "Supported: timer\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE\r\nSession-Expires: 1800\r\n";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_session_interval_below_the_minimum_is_refused_with_422_and_min_se() {
    let mut harness = Harness::new();
    for (number, value) in ["0", "89;refresher=uac"].into_iter().enumerate() {
        let extra =
            format!("Content-Type: application/sdp\r\nSupported: timer\r\nSession-Expires: {value}\r\n");
        let sent = harness.receive(&TestRequest { extra: &extra, branch: &format!("b{number}"), ..INVITE });
        assert_eq!(statuses(&sent), [422], "{value}");
        assert_eq!(header(&sent[0], "Min-SE"), Some("90"));
        assert_eq!(harness.reject_reason(), RejectReason::SessionIntervalTooSmall);
    }
    let garbage = "Content-Type: application/sdp\r\nSupported: timer\r\nSession-Expires: soon\r\n";
    let sent = harness.receive(&TestRequest { extra: garbage, branch: "garbage", ..INVITE });
    assert_eq!(statuses(&sent), [400]);
    assert_eq!(harness.endpoint.counts().calls, 0);
}

#[test]
fn a_2xx_repeats_the_session_interval_and_names_the_refresher() {
    let (_, _, _, ok) = Harness::established_by(TIMER);
    assert_eq!(header(&ok, "Session-Expires"), Some("1800;refresher=uac"));
    assert_eq!(header(&ok, "Require"), Some("timer"));
    let (_, _, _, ok) = Harness::established_by("Session-Expires: 600\r\n");
    assert_eq!(header(&ok, "Session-Expires"), Some("600;refresher=uas"), "inserted by a proxy");
    assert_eq!(header(&ok, "Require"), None);
    let (_, _, _, ok) = Harness::established_by("Supported: timer\r\n");
    assert_eq!(header(&ok, "Session-Expires"), None);
    assert!(header(&ok, "Supported").unwrap().contains("timer"));
}

#[test]
fn a_session_that_the_peer_does_not_refresh_ends_with_bye_before_it_expires() {
    let (mut harness, _, _, _) = Harness::established_by(TIMER);
    assert!(harness.advance(seconds(1_767)).is_empty());
    let sent = harness.advance(seconds(2));
    assert!(sent[0].starts_with("BYE "), "{sent:?}");
    assert_eq!(header(&sent[0], "Reason"), Some("Q.850;cause=102;text=\"session_expired\""));
    harness.respond(&sent[0], "200 OK", "", "");
    assert_eq!(harness.dialog_ends(), [DialogEnd::SessionExpired]);
    harness.advance(seconds(60));
    assert_eq!(harness.endpoint.counts(), EndpointCounts::default());
}

#[test]
fn an_update_and_a_reinvite_of_the_peer_extend_the_session() {
    let (mut harness, call, tag, _) = Harness::established_by(TIMER);
    harness.advance(seconds(1_700));
    let update = without_body("UPDATE sip:x SIP/2.0", "u", "6 UPDATE", &tag);
    let extra = "Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\n";
    let sent = harness.receive(&TestRequest { extra, ..update });
    assert_eq!(statuses(&sent), [200]);
    assert_eq!(header(&sent[0], "Session-Expires"), Some("1800;refresher=uac"));
    assert!(harness.advance(seconds(1_700)).is_empty());
    // A re-INVITE without Session-Expires keeps the timer.
    harness.receive(&TestRequest { branch: "re", cseq: "7 INVITE", to_tag: &tag, ..INVITE });
    harness.endpoint.accept_reinvite(call, &super::pair::sdp("v=0\r\n"), harness.now).unwrap();
    harness.collect();
    let ok = harness.sent.pop().unwrap();
    assert_eq!(header(&ok, "Session-Expires"), Some("1800;refresher=uas"));
    harness.receive(&without_body("ACK sip:x SIP/2.0", "ack2", "7 ACK", &tag));
    assert!(harness.advance(seconds(890)).is_empty(), "the next refresh is ours");
}

#[test]
fn an_update_with_a_small_session_interval_is_refused_and_the_timer_stays() {
    let (mut harness, _, tag, _) = Harness::established_by(TIMER);
    let update = without_body("UPDATE sip:x SIP/2.0", "u", "6 UPDATE", &tag);
    let sent =
        harness.receive(&TestRequest { extra: "Supported: timer\r\nSession-Expires: 5\r\n", ..update });
    assert_eq!((statuses(&sent), header(&sent[0], "Min-SE")), (vec![422], Some("90")));
    assert!(harness.advance(seconds(1_760)).is_empty());
    assert!(harness.advance(seconds(10))[0].starts_with("BYE "));
}

const WE_REFRESH: &str =
    "Supported: timer\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE\r\nSession-Expires: 180;refresher=uas\r\n";

#[test]
fn the_refresher_sends_update_after_half_of_the_interval() {
    let (mut harness, _, _, _) = Harness::established_by(WE_REFRESH);
    assert!(harness.advance(seconds(89)).is_empty());
    for _ in 0..3 {
        let sent = harness.advance(seconds(1));
        assert!(sent[0].starts_with("UPDATE sip:probe@192.0.2.10:5070 SIP/2.0\r\n"), "{sent:?}");
        assert_eq!(header(&sent[0], "Session-Expires"), Some("180;refresher=uac"));
        assert_eq!(header(&sent[0], "Content-Length"), Some("0"));
        harness.respond(&sent[0], "200 OK", "Session-Expires: 180;refresher=uac\r\n", "");
        assert!(harness.advance(seconds(89)).is_empty());
    }
    assert!(harness.dialog_ends().is_empty());
}

#[test]
fn a_peer_that_refuses_update_with_405_gets_a_reinvite_with_the_same_session_description() {
    let (mut harness, _, _, _) = Harness::established_by(WE_REFRESH);
    let sent = harness.advance(seconds(90));
    let sent = harness.respond(&sent[0], "405 Method Not Allowed", "Allow: INVITE, ACK, BYE\r\n", "");
    assert!(sent[0].starts_with("INVITE "), "{sent:?}");
    assert!(sent[0].ends_with("\r\n\r\nv=0\r\n"), "the description of our 200: {sent:?}");
    let extra = "Session-Expires: 180;refresher=uac\r\nContent-Type: application/sdp\r\n";
    let ack = harness.respond(&sent[0], "200 OK", extra, "v=0\r\n");
    assert!(ack[0].starts_with("ACK "));
    assert_eq!(header(&ack[0], "CSeq"), Some("2 ACK"));
    assert!(matches!(harness.events.last(), Some(Event::SessionRefreshed { answer: Some(_), .. })));
    let sent = harness.advance(seconds(90));
    assert!(sent[0].starts_with("INVITE "), "UPDATE is not tried again");
}

#[test]
fn a_422_to_our_refresh_is_followed_by_a_longer_interval() {
    let (mut harness, _, _, _) = Harness::established_by(WE_REFRESH);
    let sent = harness.advance(seconds(90));
    let sent = harness.respond(&sent[0], "422 Session Interval Too Small", "Min-SE: 300\r\n", "");
    assert_eq!(header(&sent[0], "Session-Expires"), Some("300;refresher=uac"));
    assert_eq!(header(&sent[0], "Min-SE"), Some("300"));
    harness.respond(&sent[0], "200 OK", "Session-Expires: 300;refresher=uac\r\n", "");
    assert!(harness.advance(seconds(149)).is_empty());
    assert!(harness.advance(seconds(1))[0].starts_with("UPDATE "));
}

#[test]
fn a_refresh_that_is_refused_is_tried_again_and_the_session_ends_in_time() {
    let (mut harness, _, _, _) = Harness::established_by(WE_REFRESH);
    let mut attempts = 0;
    let mut sent = harness.advance(seconds(90));
    while sent.first().is_none_or(|message| message.starts_with("UPDATE ")) {
        if let Some(update) = sent.first() {
            attempts += 1;
            harness.respond(update, "488 Not Acceptable Here", "", "");
        }
        sent = harness.advance(Duration::from_millis(100));
    }
    assert!(sent[0].starts_with("BYE "), "{sent:?}");
    assert!((3..=8).contains(&attempts), "{attempts}");
}

#[test]
fn a_refresh_without_a_response_or_with_481_ends_the_call() {
    let (mut harness, _, _, _) = Harness::established_by(WE_REFRESH);
    harness.advance(seconds(90));
    let sent = harness.advance(seconds(33));
    let bye = sent.iter().find(|message| message.starts_with("BYE ")).unwrap();
    assert_eq!(header(bye, "Reason"), Some("Q.850;cause=102;text=\"peer_lost\""));
    let (mut harness, _, _, _) = Harness::established_by(WE_REFRESH);
    let sent = harness.advance(seconds(90));
    let sent = harness.respond(&sent[0], "481 Call/Transaction Does Not Exist", "", "");
    assert!(sent[0].starts_with("BYE "), "{sent:?}");
    harness.respond(&sent[0], "481 Call/Transaction Does Not Exist", "", "");
    assert_eq!(harness.dialog_ends(), [DialogEnd::PeerLost]);
}

#[test]
fn a_call_that_hangs_up_leaves_no_session_timer() {
    let (mut harness, call, _, _) = Harness::established_by(WE_REFRESH);
    harness.endpoint.hang_up(call, harness.now).unwrap();
    harness.collect();
    let bye = harness.sent.pop().unwrap();
    harness.respond(&bye, "200 OK", "", "");
    harness.advance(seconds(40));
    assert_eq!(harness.endpoint.counts(), EndpointCounts::default());
}

#[test]
fn sessions_outlive_their_interval_on_a_bad_network() {
    let lossy = NetworkConditions { lost: 20, duplicated: 20, delay_ms: 300 };
    for seed in 1..=30 {
        let preferred = Some(seconds(300));
        let intervals = SessionIntervals { preferred, ..SessionIntervals::default() };
        let (mut pair, ours, _) = Pair::with(seed, lossy, intervals).establish();
        pair.run(seconds(7_200));
        let refreshes = pair
            .log
            .iter()
            .filter(|(_, text)| text.starts_with("UPDATE ") && text.contains("Session-Expires"));
        assert!(refreshes.count() >= 47, "seed {seed}");
        assert!(!pair.log.iter().any(|(_, text)| text.starts_with("BYE ")), "seed {seed}");
        pair.caller.hang_up(ours, pair.now).unwrap();
        pair.settle();
        pair.drain();
    }
}

#[test]
fn a_dead_peer_is_noticed_within_the_session_interval() {
    let intervals = SessionIntervals { preferred: Some(seconds(120)), ..SessionIntervals::default() };
    let (mut pair, _, _) = Pair::with(3, RELIABLE, intervals).establish();
    pair.lose_everything();
    pair.drain();
    let ends = |events: &[Event]| {
        events.iter().find_map(|event| match event {
            Event::Ended { end, .. } => Some(end.clone()),
            _ => None,
        })
    };
    assert_eq!(ends(&pair.caller_events), Some(DialogEnd::SessionExpired));
    assert_eq!(ends(&pair.callee_events), Some(DialogEnd::SessionExpired));
}

#[test]
fn a_422_to_our_invite_is_followed_by_an_invite_with_min_se() {
    let intervals = SessionIntervals { preferred: Some(seconds(120)), ..SessionIntervals::default() };
    let (pair, _, _) = {
        let mut pair = Pair::with(1, RELIABLE, intervals);
        pair.require_callee_interval(seconds(600));
        pair.establish()
    };
    let invites: Vec<&str> = pair
        .log
        .iter()
        .filter(|(side, text)| *side == Side::Caller && text.starts_with("INVITE "))
        .map(|(_, text)| header(text, "Session-Expires").unwrap())
        .collect();
    assert_eq!(invites, ["120", "600"]);
    let ok = pair.log.iter().find(|(_, text)| text.starts_with("SIP/2.0 200")).unwrap();
    assert_eq!(header(&ok.1, "Session-Expires"), Some("600;refresher=uac"));
}
