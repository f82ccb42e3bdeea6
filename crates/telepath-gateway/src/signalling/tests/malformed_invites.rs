//! INVITEs that cannot be parsed: those of a trunk's network leave a record, all others are counted.

use telepath_core::call::CallEnd;
use telepath_core::id::{AccountId, Id as _, TrunkId};
use telepath_core::trunk::E164;

use super::early_refusals::trusting;
use super::*;

/// The records that are left when all look-ups are over.
async fn records(signalling: &mut Signalling, control: &TestControl, count: usize) -> Vec<CallEnd> {
    while signalling.lookups.are_under_way() {
        apply_next_command(signalling).await;
    }
    signalling.write_refusals();
    control.wait_for_ends(count).await
}

fn strangers(signalling: &Signalling) -> Vec<(&'static str, u64)> {
    signalling.shared.strangers.list().strangers.iter().map(|found| (found.rule, found.attempts)).collect()
}

/// What can be wrong with an INVITE that gets 400 or 505.
fn malformed_invites() -> [(String, &'static str); 8] {
    let valid = invite("malformed", "");
    [
        (valid.replace("<sip:probe@caller.test>", "<sip:probe@caller.test"), "Malformed From Header"),
        (valid.replace("Content-Length: 0", "Content-Length: many"), "Malformed Content-Length Header"),
        (
            valid.replace("Contact: <sip:probe@192.0.2.10:5070>", "Contact: <sip:@>"),
            "Malformed Contact Header",
        ),
        (valid.replace("Max-Forwards: 70", "Max-Forwards: many"), "Malformed Max-Forwards Header"),
        (valid.replace("CSeq: 1 INVITE", "CSeq: one INVITE"), "Malformed CSeq Header"),
        (valid.replace("Max-Forwards: 70\r\n", "Max-Forwards\r\n"), "Malformed Header Line"),
        (valid.replacen("@192.0.2.20 SIP/2.0", "@[::bad SIP/2.0", 1), "Malformed Request-URI"),
        (valid.replacen("SIP/2.0\r\n", "SIP/7.0\r\n", 1), "SIP Version Not Supported"),
    ]
}

#[tokio::test]
async fn a_malformed_invite_of_a_trusted_source_leaves_a_record() {
    for (message, error) in malformed_invites() {
        let (mut signalling, control) = trusting(|_| {}).await;
        let status = if error.contains("Version") { 505 } else { 400 };
        let responses = deliver(&mut signalling, carrier(), &message);
        assert_eq!(statuses(&responses), [status.to_string().as_str()], "{error}");
        let end = records(&mut signalling, &control, 1).await.remove(0);
        assert_eq!((end.sip.rule.as_deref(), end.sip.status), (Some("malformed"), Some(status)), "{error}");
        assert_eq!(end.reason_text.unwrap(), format!("the INVITE cannot be parsed: {error}"));
        assert_eq!((end.to.as_str(), end.sip.call_id.as_deref()), (USER, Some("malformed")));
        assert_eq!(end.sip.source.as_deref(), Some("192.0.2.10:5070"));
        let answer = responses[0].lines().next().unwrap();
        assert!(end.sip_trace.contains("INVITE sip:") && end.sip_trace.contains(answer), "{}", end.sip_trace);
        assert_eq!(strangers(&signalling), [], "{error}: it has a record");
    }
}

#[tokio::test]
async fn an_invite_of_a_trusted_source_that_cannot_be_answered_leaves_a_record() {
    let (mut signalling, control) = trusting(|_| {}).await;
    let without_via =
        invite("mute", "").replace("Via: SIP/2.0/UDP 192.0.2.10:5070;branch=z9hG4bKmute\r\n", "");
    assert!(deliver(&mut signalling, carrier(), &without_via).is_empty());
    let end = records(&mut signalling, &control, 1).await.remove(0);
    assert_eq!((end.sip.rule.as_deref(), end.sip.status), (Some("unanswerable_request"), None));
    assert!(end.sip_trace.contains("INVITE sip:") && !end.sip_trace.contains("sent to"), "{}", end.sip_trace);
    assert_eq!(strangers(&signalling), []);
}

#[tokio::test]
async fn a_malformed_invite_reaches_the_record_of_the_trunk_with_the_dialled_number() {
    let (mut signalling, control) = trusting(|_| {}).await;
    control.change_trunk(|found| {
        found.trunk.settings.inbound_numbers = vec![E164::try_from("+15550100123".to_owned()).unwrap()];
    });
    let dialled = |number: &str| {
        invite(number, "").replace(USER, number).replace("Max-Forwards: 70", "Max-Forwards: many")
    };
    assert_eq!(statuses(&deliver(&mut signalling, carrier(), &dialled("+15550100123"))), ["400"]);
    let end = records(&mut signalling, &control, 1).await.remove(0);
    assert_eq!((end.to.as_str(), end.sip.rule.as_deref()), ("+15550100123", Some("malformed")));
}

#[tokio::test]
async fn a_malformed_invite_whose_trunk_cannot_be_told_is_counted_with_its_rule() {
    let (mut signalling, control) = trusting(|_| {}).await;
    let nobody =
        invite("nobody", "").replace(USER, "unknown").replace("Max-Forwards: 70", "Max-Forwards: many");
    assert_eq!(statuses(&deliver(&mut signalling, carrier(), &nobody)), ["400"]);
    assert!(records(&mut signalling, &control, 0).await.is_empty());
    assert_eq!(strangers(&signalling), [("malformed", 1)]);

    // The source is trusted by trunks of two accounts, neither of which takes the number.
    for (user, number) in [(USER, "+15550100123"), ("other", "+15550100124")] {
        let mut trunks = control.trunks.lock().unwrap();
        let mut found = trunks[USER].clone();
        found.trunk.settings.inbound_numbers = vec![E164::try_from(number.to_owned()).unwrap()];
        if user == "other" {
            found.trunk.id = TrunkId::from_bytes([8; 16]);
            found.trunk.account_id = AccountId::from_bytes([9; 16]);
        }
        trunks.insert(user.to_owned(), found);
    }
    let of_either =
        invite("either", "").replace(USER, "+15550100199").replace("CSeq: 1 INVITE", "CSeq: one INVITE");
    assert_eq!(statuses(&deliver(&mut signalling, carrier(), &of_either)), ["400"]);
    assert!(records(&mut signalling, &control, 0).await.is_empty());
    assert_eq!(strangers(&signalling), [("malformed", 2)]);
}

#[tokio::test]
async fn malformed_invites_of_strangers_are_counted_and_look_up_nothing() {
    let (mut signalling, control) = trusting(|_| {}).await;
    let stranger = "198.51.100.7:5070".parse().unwrap();
    for (message, _) in malformed_invites() {
        deliver(&mut signalling, stranger, &message);
    }
    assert_eq!(strangers(&signalling), [("malformed", 8)]);
    assert_nothing_is_left(&signalling, &control);
}

#[tokio::test]
async fn a_malformed_reinvite_leaves_no_record_of_a_call() {
    let (mut signalling, control) = trusting(|_| {}).await;
    for to in ["<sip:desk@callee.test>;tag=ours", "<sip:desk@callee.test;tag=ours"] {
        let message = invite("reinvite", "")
            .replace(&format!("To: <sip:{USER}@callee.test>"), &format!("To: {to}"))
            .replace("Max-Forwards: 70", "Max-Forwards: many");
        assert_eq!(statuses(&deliver(&mut signalling, carrier(), &message)), ["400"]);
    }
    assert_nothing_is_left(&signalling, &control);
    assert_eq!(strangers(&signalling), [("malformed", 2)]);
}

#[tokio::test]
async fn a_malformed_invite_with_a_valid_digest_leaves_a_record() {
    let (mut signalling, control) = signalling(|_| {});
    let valid = answer_to_challenge(&mut signalling, 1, PASSWORD);
    assert_eq!(strangers(&signalling), [("no_credentials", 1)]);
    let message = valid.replace("Max-Forwards: 70", "Max-Forwards: many");
    assert_eq!(statuses(&deliver(&mut signalling, carrier(), &message)), ["400"]);
    let end = records(&mut signalling, &control, 1).await.remove(0);
    assert_eq!(end.sip.rule.as_deref(), Some("malformed"));
    assert!(end.sip_trace.contains("Authorization: [redacted]"), "{}", end.sip_trace);
    assert_eq!(strangers(&signalling), [], "the attempt has a record");
}

#[tokio::test]
async fn records_of_malformed_invites_are_bounded() {
    let (mut signalling, control) = trusting(|_| {}).await;
    for n in 0..200 {
        let message = invite(&format!("flood-{n}"), "").replace("Max-Forwards: 70", "Max-Forwards: many");
        deliver(&mut signalling, carrier(), &message);
        while signalling.lookups.are_under_way() {
            apply_next_command(&mut signalling).await;
        }
    }
    assert_eq!(records(&mut signalling, &control, 60).await.len(), 60);
    assert_eq!(strangers(&signalling), [("malformed", 140)]);
}

#[tokio::test]
async fn a_malformed_invite_cannot_make_up_messages_of_its_trace() {
    let (mut signalling, control) = trusting(|_| {}).await;
    let forged = "\r\n+1.000s sent to 192.0.2.10:5070\r\nSIP/2.0 200 OK\r\n";
    let message = invite("forged", "").replace("Max-Forwards: 70", "Max-Forwards: many") + forged;
    deliver(&mut signalling, carrier(), &message);
    let end = records(&mut signalling, &control, 1).await.remove(0);
    assert_eq!(telepath_core::call::sip_trace::messages_of(&end.sip_trace).len(), 2, "{}", end.sip_trace);
}
