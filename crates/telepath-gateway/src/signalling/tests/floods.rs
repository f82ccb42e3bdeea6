//! Floods of INVITEs whose sender has one live nonce, or forges the address of a carrier: what they may store and look up, and
//! that callers elsewhere are served meanwhile.

use super::*;

/// A host that has received one of our nonces.
fn nonce_holder(signalling: &mut Signalling, source: SocketAddr) -> String {
    let challenge = deliver(signalling, source, &invite(&format!("nonce-{source}"), ""));
    assert_eq!(statuses(&challenge), ["401"]);
    challenge[0].split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

/// Applies the results of all look-ups that are under way.
async fn finish_lookups(signalling: &mut Signalling) -> Vec<String> {
    let mut responses = Vec::new();
    signalling.shared.tasks.close();
    signalling.shared.tasks.wait().await;
    while let Ok(command) = signalling.commands.try_recv() {
        signalling.apply(command);
        responses.extend(sent(signalling));
    }
    responses
}

#[tokio::test]
async fn wrong_digests_over_one_live_nonce_leave_nothing_behind_and_a_caller_elsewhere_is_served() {
    let (mut signalling, control) = signalling(|options| options.auth_failures_per_minute = 30);
    let attacker = "198.51.100.7:5060".parse().unwrap();
    let nonce = nonce_holder(&mut signalling, attacker);
    let mut answers = Vec::new();
    for n in 0..1_000 {
        let flood = invite(&format!("flood-{n}"), &guess(&nonce));
        assert!(deliver(&mut signalling, attacker, &flood).is_empty());
        answers.extend(finish_lookups(&mut signalling).await);
    }
    let answers = statuses(&answers);
    assert_eq!(answers.iter().filter(|status| **status == "401").count(), 30);
    assert_eq!(answers.iter().filter(|status| **status == "403").count(), 970);
    assert_eq!(signalling.endpoint.counts(), EndpointCounts::default());
    assert!(signalling.calls.is_empty() && signalling.endpoint.poll_trace().is_none());
    signalling.endpoint.handle_timeout(Instant::now() + Duration::from_mins(1));
    assert!(sent(&mut signalling).is_empty(), "nothing is repeated");
    assert_eq!(*control.lookups.lock().unwrap(), 1_000);

    let valid = answer_to_challenge(&mut signalling, 1, PASSWORD);
    assert!(deliver(&mut signalling, carrier(), &valid).is_empty());
    assert!(apply_next_command(&mut signalling).await.is_empty());
    assert_eq!(statuses(&apply_next_command(&mut signalling).await), ["180"]);
}

#[tokio::test]
async fn invites_of_one_source_that_wait_for_their_look_up_are_bounded_and_others_are_looked_up() {
    let (mut signalling, control) = signalling(|_| {});
    let attacker = "198.51.100.7:5060".parse().unwrap();
    let nonce = nonce_holder(&mut signalling, attacker);
    let valid = answer_to_challenge(&mut signalling, 1, PASSWORD);
    let mut refused = Vec::new();
    for n in 0..100 {
        refused.extend(deliver(&mut signalling, attacker, &invite(&format!("flood-{n}"), &guess(&nonce))));
    }
    assert_eq!(statuses(&refused), vec!["503"; 68]);
    assert!(refused[0].contains("\r\nRetry-After: ") && refused[0].contains("\"lookups_full\""), "{}", refused[0]);
    assert_eq!(signalling.endpoint.counts().calls, 32);
    assert!(deliver(&mut signalling, carrier(), &valid).is_empty());
    assert_eq!(signalling.endpoint.counts().calls, 33);
    finish_lookups(&mut signalling).await;
    assert_eq!(*control.lookups.lock().unwrap(), 33);
    let more = deliver(&mut signalling, attacker, &invite("more", &guess(&nonce)));
    assert!(more.is_empty(), "finished look-ups make room");
}

#[tokio::test]
async fn invites_that_arrive_in_one_turn_do_not_exceed_the_look_ups_of_their_source() {
    let (mut signalling, control) = signalling(|_| {});
    let attacker = "198.51.100.7:5060".parse().unwrap();
    let nonce = nonce_holder(&mut signalling, attacker);
    for n in 0..64 {
        let flood = invite(&format!("flood-{n}"), &guess(&nonce));
        signalling.receive_datagram(attacker, flood.as_bytes(), Instant::now());
    }
    assert_eq!(statuses(&sent(&mut signalling)), vec!["503"; 32]);
    assert_eq!(signalling.endpoint.counts().server_transactions, 32);
    finish_lookups(&mut signalling).await;
    assert_eq!(*control.lookups.lock().unwrap(), 32);
}

#[tokio::test]
async fn a_trusted_source_without_credentials_for_a_trunk_that_does_not_trust_it_gets_one_401() {
    let (mut signalling, control) = signalling(|_| {});
    control.change_trunk(|found| found.trunk.allowed_ips = "192.0.2.0/24".parse().unwrap());
    crate::trusted_networks::refresh(&signalling.shared).await.unwrap();
    apply_next_command(&mut signalling).await;
    control.change_trunk(|found| found.trunk.allowed_ips = "203.0.113.0/24".parse().unwrap());
    for n in 0..100 {
        assert!(deliver(&mut signalling, carrier(), &invite(&format!("forged-{n}"), "")).is_empty());
        assert_eq!(statuses(&finish_lookups(&mut signalling).await), ["401"]);
    }
    assert_eq!(signalling.endpoint.counts(), EndpointCounts::default());
    signalling.endpoint.handle_timeout(Instant::now() + Duration::from_mins(1));
    assert!(sent(&mut signalling).is_empty(), "401 is sent once (RFC 3261 section 26.3.2.4)");
}

#[tokio::test]
async fn look_ups_for_the_records_of_rejected_invites_are_bounded_before_they_start() {
    let (mut signalling, control) = signalling(|_| {});
    let attacker = "198.51.100.7:5060".parse().unwrap();
    let nonce = nonce_holder(&mut signalling, attacker);
    let unsupported = |n: usize| invite(&format!("flood-{n}"), &format!("Require: foo\r\n{}", guess(&nonce)));
    for n in 0..1_000 {
        assert_eq!(statuses(&deliver(&mut signalling, attacker, &unsupported(n))), ["420"]);
    }
    assert_eq!(signalling.shared.tasks.len(), 8, "look-ups of one source at the same time");
    for n in 1_000..2_000 {
        deliver(&mut signalling, attacker, &unsupported(n));
        finish_lookups(&mut signalling).await;
    }
    assert_eq!(*control.lookups.lock().unwrap(), 60, "look-ups of one source in a minute");
    let strangers = signalling.shared.strangers.list().strangers;
    let counted = strangers.iter().find(|found| found.rule == "unsupported_extension").unwrap();
    assert_eq!(counted.attempts, 2_000);
    assert_eq!(signalling.endpoint.counts(), EndpointCounts::default());
}
