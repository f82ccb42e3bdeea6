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
    let start = Instant::now();
    for n in 0..1_000 {
        // Slow enough that each is looked up.
        let now = start + Duration::from_millis(10) * n;
        let flood = invite(&format!("flood-{n}"), &guess(&nonce));
        assert!(deliver_at(&mut signalling, attacker, &flood, now).is_empty());
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
    assert!(
        refused[0].contains("\r\nRetry-After: ") && refused[0].contains("\"lookups_full\""),
        "{}",
        refused[0]
    );
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
        let flow = signalling.transports.datagram_flow(0, attacker).unwrap();
        signalling.receive_message(flow, flood.as_bytes(), Instant::now());
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

/// An INVITE of the carrier with an SDP offer.
fn offer(number: usize) -> String {
    let sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    request("INVITE", &format!("offer{number}"), 1, "", "application/sdp", sdp)
        .replace("Call-ID: reinvite", &format!("Call-ID: offer-{number}"))
}

#[tokio::test]
async fn forged_invites_of_a_trusted_source_leave_three_quarters_of_the_places_to_proved_callers() {
    let (mut signalling, control) = signalling(|options| options.max_calls = 16);
    control.change_trunk(|found| found.trunk.allowed_ips = "192.0.2.0/24".parse().unwrap());
    crate::trusted_networks::refresh(&signalling.shared).await.unwrap();
    apply_next_command(&mut signalling).await;
    let mut answers = Vec::new();
    for number in 0..64 {
        assert!(deliver(&mut signalling, carrier(), &offer(number)).is_empty());
        while signalling.lookups.are_under_way() {
            answers.extend(apply_next_command(&mut signalling).await);
        }
    }
    let refused: Vec<_> = answers.iter().filter(|answer| answer.starts_with("SIP/2.0 503")).collect();
    assert_eq!(refused.len(), 60, "{answers:?}");
    assert!(refused[0].contains("\"unconfirmed_full\"") && refused[0].contains("\r\nRetry-After: "));
    assert_eq!(signalling.shared.live.len(), 4);

    let valid =
        answer_to_challenge_of(&mut signalling, "198.51.100.1:5070".parse().unwrap(), USER, 1, PASSWORD);
    assert!(deliver(&mut signalling, "198.51.100.1:5070".parse().unwrap(), &valid).is_empty());
    while signalling.lookups.are_under_way() {
        apply_next_command(&mut signalling).await;
    }
    assert_eq!(signalling.shared.live.len(), 5, "a caller with digest gets a place");
}

#[tokio::test]
async fn the_ack_of_an_unproved_call_makes_room_for_another_one() {
    let (mut signalling, control) = signalling(|_| {});
    control.change_trunk(|found| {
        found.trunk.allowed_ips = "192.0.2.0/24".parse().unwrap();
        found.trunk.settings.max_concurrent_calls = Some(2);
    });
    crate::trusted_networks::refresh(&signalling.shared).await.unwrap();
    apply_next_command(&mut signalling).await;
    assert!(deliver(&mut signalling, carrier(), &offer(1)).is_empty());
    let answer = loop {
        let sent = apply_next_command(&mut signalling).await;
        if let Some(answer) = sent.into_iter().find(|sent| sent.starts_with("SIP/2.0 200")) {
            break answer;
        }
    };
    assert!(deliver(&mut signalling, carrier(), &offer(2)).is_empty());
    assert_eq!(statuses(&apply_next_command(&mut signalling).await), ["503"]);
    let to = answer.lines().find(|line| line.starts_with("To: ")).unwrap();
    let ack = request("ACK", "ack", 1, &to[to.find(";tag=").unwrap()..], "application/sdp", "");
    deliver(&mut signalling, carrier(), &ack.replace("Call-ID: reinvite", "Call-ID: offer-1"));
    assert!(deliver(&mut signalling, carrier(), &offer(3)).is_empty());
    while signalling.lookups.are_under_way() {
        apply_next_command(&mut signalling).await;
    }
    assert_eq!(signalling.shared.live.len(), 2);
}

/// Applies the results of all look-ups that are under way; admitted calls go on.
async fn end_lookups(signalling: &mut Signalling) -> Vec<String> {
    let mut responses = Vec::new();
    while signalling.lookups.are_under_way() {
        responses.extend(apply_next_command(signalling).await);
    }
    responses
}

#[tokio::test]
async fn sources_whose_digests_are_rejected_leave_the_look_ups_to_others() {
    let (mut signalling, control) = signalling(|_| {});
    let valid = answer_to_challenge(&mut signalling, 1, PASSWORD);
    let attacker = |number: u16| -> SocketAddr {
        let [high, low] = number.to_be_bytes();
        ([198, 18, high, low], 5060).into()
    };
    let nonces: Vec<_> = (0..600).map(|number| nonce_holder(&mut signalling, attacker(number))).collect();
    // Their first digests are verified while nothing is known about them.
    for (number, nonce) in (0..).zip(&nonces) {
        deliver(&mut signalling, attacker(number), &invite(&format!("first-{number}"), &guess(nonce)));
        end_lookups(&mut signalling).await;
    }
    for (number, nonce) in (0..).zip(&nonces) {
        deliver(&mut signalling, attacker(number), &invite(&format!("flood-{number}"), &guess(nonce)));
    }
    assert_eq!(signalling.endpoint.counts().calls, 64, "look-ups of all such sources at the same time");
    assert!(deliver(&mut signalling, carrier(), &valid).is_empty(), "a caller elsewhere is looked up");
    let responses = end_lookups(&mut signalling).await;
    assert!(!statuses(&responses).contains(&"503"));
    assert_eq!(*control.lookups.lock().unwrap(), 600 + 64 + 1);
}

#[tokio::test]
async fn fast_floods_of_wrong_digests_cause_a_bounded_number_of_look_ups_in_each_second() {
    let (mut signalling, control) = signalling(|_| {});
    let attacker = "198.51.100.7:5060".parse().unwrap();
    let nonce = nonce_holder(&mut signalling, attacker);
    let start = Instant::now();
    let mut refused = 0;
    for n in 0..1_000 {
        let flood = invite(&format!("flood-{n}"), &guess(&nonce));
        let now = start + Duration::from_millis(u64::from(n >= 500));
        let responses = deliver_at(&mut signalling, attacker, &flood, now);
        refused += statuses(&responses).iter().filter(|status| **status == "503").count();
        end_lookups(&mut signalling).await;
    }
    // The first one is looked up while nothing is known about its source.
    assert_eq!((*control.lookups.lock().unwrap(), refused), (201, 799));
    let next = invite("next-second", &guess(&nonce));
    assert!(deliver_at(&mut signalling, attacker, &next, start + Duration::from_secs(2)).is_empty());
}

#[tokio::test]
async fn a_source_that_repeats_a_valid_digest_takes_few_look_ups_and_its_next_call_passes() {
    let (mut signalling, _) = signalling(|options| options.auth_failures_per_minute = 1);
    let valid = answer_to_challenge(&mut signalling, 1, PASSWORD);
    assert!(deliver(&mut signalling, carrier(), &valid).is_empty());
    end_lookups(&mut signalling).await;
    let replay = |n: usize| {
        let other_call = valid.replace("Call-ID: ", &format!("Call-ID: {n}-"));
        other_call.replace("branch=z9hG4bK", &format!("branch=z9hG4bK{n}-"))
    };
    deliver(&mut signalling, carrier(), &replay(0));
    assert!(statuses(&end_lookups(&mut signalling).await).contains(&"401"));
    let refused: Vec<_> = (1..=100).flat_map(|n| deliver(&mut signalling, carrier(), &replay(n))).collect();
    assert_eq!(statuses(&refused).iter().filter(|status| **status == "503").count(), 92);
    let challenged = end_lookups(&mut signalling).await;
    assert_eq!(statuses(&challenged).iter().filter(|status| **status == "401").count(), 8);
    let next = answer_to_challenge(&mut signalling, 2, PASSWORD);
    assert!(!statuses(&deliver(&mut signalling, carrier(), &next)).contains(&"503"));
    end_lookups(&mut signalling).await;
    let strangers = signalling.shared.strangers.list().strangers;
    assert!(
        strangers.iter().all(|found| found.rule != "auth_throttled"),
        "a replay is no guess of a password"
    );
}
