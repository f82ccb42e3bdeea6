//! Callers that reach a trunk are no strangers, and take no count of others with them.

use super::early_refusals::trusting;
use super::*;

fn strangers(signalling: &Signalling) -> Vec<(&'static str, u64)> {
    let list = signalling.shared.strangers.list().strangers;
    let mut counts: Vec<_> = list.iter().map(|found| (found.rule, found.attempts)).collect();
    counts.sort_unstable();
    counts
}

/// Delivers an INVITE with a valid digest and waits until it is admitted.
async fn admit(signalling: &mut Signalling, invite: &str) {
    assert!(deliver(signalling, carrier(), invite).is_empty());
    while signalling.lookups.are_under_way() {
        apply_next_command(signalling).await;
    }
}

fn call_id(message: &str) -> &str {
    message.lines().find_map(|line| line.strip_prefix("Call-ID: ")).unwrap()
}

#[tokio::test]
async fn a_caller_takes_back_its_own_challenges_and_not_those_of_a_scanner_behind_its_address() {
    let (mut signalling, _) = signalling(|_| {});
    for n in 0..3 {
        deliver(&mut signalling, carrier(), &invite(&format!("scan-{n}"), ""));
    }
    for seed in 1..4 {
        let valid = answer_to_challenge(&mut signalling, seed, PASSWORD);
        // The challenge was late, so the client has repeated its INVITE; and it began with a nonce of an earlier call.
        deliver(&mut signalling, carrier(), &invite(call_id(&valid), ""));
        deliver(&mut signalling, carrier(), &invite(call_id(&valid), &guess("invented")));
        assert_eq!(strangers(&signalling), [("foreign_nonce", 1), ("no_credentials", 5)]);
        admit(&mut signalling, &valid).await;
        assert_eq!(strangers(&signalling), [("no_credentials", 3)]);
    }
    assert_eq!(signalling.shared.live.len(), 3);
}

#[tokio::test]
async fn a_trusted_caller_takes_back_no_count_of_others_behind_its_address() {
    let (mut signalling, control) = trusting(|_| {}).await;
    control.change_trunk(|found| found.trunk.allowed_ips = "203.0.113.0/24".parse().unwrap());
    deliver(&mut signalling, carrier(), &invite("not-trusted", ""));
    assert_eq!(statuses(&apply_next_command(&mut signalling).await), ["401"]);
    assert_eq!(strangers(&signalling), [("no_credentials", 1)]);
    control.change_trunk(|found| found.trunk.allowed_ips = "192.0.2.0/24".parse().unwrap());
    for n in 0..3 {
        admit(&mut signalling, &invite(&format!("trusted-{n}"), "")).await;
    }
    assert_eq!(signalling.shared.live.len(), 3);
    assert_eq!(strangers(&signalling), [("no_credentials", 1)]);
}

#[tokio::test]
async fn a_caller_that_guesses_and_then_knows_the_password_stays_listed_for_its_guess() {
    let (mut signalling, _) = signalling(|_| {});
    let wrong = answer_to_challenge(&mut signalling, 1, "guess");
    let valid = answer_to_challenge(&mut signalling, 1, PASSWORD);
    assert_eq!(call_id(&wrong), call_id(&valid));
    admit(&mut signalling, &wrong).await;
    // The branch of the second INVITE of the same client is the same.
    admit(&mut signalling, &valid.replace("branch=z9hG4bK", "branch=z9hG4bK-2")).await;
    assert_eq!(strangers(&signalling), [("wrong_password", 1)]);
}

#[tokio::test]
async fn the_peer_of_a_live_call_is_no_stranger_whatever_it_sends_within_it() {
    let mut agent = ScriptedAgent::start().await;
    let (mut signalling, _control) = trusting_to(&agent).await;
    let tag = answered(&mut signalling).await;
    let _socket = agent.connection().await;
    let isup = request("INFO", "isup", 2, &tag, "application/isup", "x");
    assert_eq!(statuses(&deliver(&mut signalling, carrier(), &isup)), ["415"]);
    let late = request("INFO", "late", 1, &tag, "application/dtmf", "5");
    assert_eq!(statuses(&deliver(&mut signalling, carrier(), &late)), ["500"]);
    let required = request("INVITE", "required", 3, &tag, SDP, "")
        .replace("Max-Forwards", "Require: foo\r\nMax-Forwards");
    assert_eq!(statuses(&deliver(&mut signalling, carrier(), &required)), ["420"]);
    let malformed =
        request("INVITE", "malformed", 4, &tag, SDP, "").replace("Max-Forwards: 70", "Max-Forwards: many");
    assert_eq!(statuses(&deliver(&mut signalling, carrier(), &malformed)), ["400"]);
    assert_eq!(strangers(&signalling), []);
    let unknown = request("INFO", "unknown", 5, ";tag=other", "application/dtmf", "5");
    assert_eq!(statuses(&deliver(&mut signalling, carrier(), &unknown)), ["481"]);
    assert_eq!(strangers(&signalling), [("unknown_dialog", 1)]);
}
