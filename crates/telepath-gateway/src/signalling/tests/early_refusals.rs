//! INVITEs that are refused or cancelled before their trunk is known: those of known senders leave a record.

use telepath_core::call::DisconnectReason;

use super::*;

/// A signalling task whose trunk trusts the network of [`carrier`].
pub(super) async fn trusting(adjust: impl FnOnce(&mut GatewayOptions)) -> (Signalling, Arc<TestControl>) {
    let (mut signalling, control) = signalling(adjust);
    control.change_trunk(|found| found.trunk.allowed_ips = "192.0.2.0/24".parse().unwrap());
    crate::trusted_networks::refresh(&signalling.shared).await.unwrap();
    apply_next_command(&mut signalling).await;
    (signalling, control)
}

/// The rule, status and reason of the only record.
async fn record(signalling: &mut Signalling, control: &TestControl) -> (String, u16, DisconnectReason) {
    while signalling.lookups.are_under_way() {
        apply_next_command(signalling).await;
    }
    signalling.write_refusals();
    let end = control.wait_for_ends(1).await.remove(0);
    assert!(end.sip_trace.contains("INVITE sip:"), "{}", end.sip_trace);
    assert!(signalling.shared.strangers.list().strangers.is_empty(), "it has a record");
    (end.sip.rule.unwrap(), end.sip.status.unwrap(), end.reason)
}

#[tokio::test]
async fn a_trusted_source_that_a_full_server_refuses_has_a_record() {
    let (mut signalling, control) = trusting(|options| options.max_calls = 0).await;
    assert_eq!(statuses(&deliver(&mut signalling, carrier(), &invite("full", ""))), ["503"]);
    let expected = ("server_full".to_owned(), 503, DisconnectReason::Rejected);
    assert_eq!(record(&mut signalling, &control).await, expected);
}

#[tokio::test]
async fn a_trusted_source_that_is_refused_during_a_shutdown_has_a_record() {
    let (mut signalling, control) = trusting(|_| {}).await;
    signalling.apply(Command::Drain);
    assert_eq!(statuses(&deliver(&mut signalling, carrier(), &invite("drain", ""))), ["503"]);
    let expected = ("shutting_down".to_owned(), 503, DisconnectReason::Rejected);
    assert_eq!(record(&mut signalling, &control).await, expected);
}

#[tokio::test]
async fn a_trusted_source_with_malformed_credentials_has_a_record() {
    let (mut signalling, control) = trusting(|_| {}).await;
    let malformed = format!("Authorization: Digest realm=\"{SIP_REALM}\", username=\"{USER}\"\r\n");
    assert_eq!(statuses(&deliver(&mut signalling, carrier(), &invite("malformed", &malformed))), ["400"]);
    let expected = ("malformed_credentials".to_owned(), 400, DisconnectReason::Rejected);
    assert_eq!(record(&mut signalling, &control).await, expected);
}

#[tokio::test]
async fn a_call_that_is_cancelled_while_its_trunk_is_looked_up_has_a_record() {
    let (mut signalling, control) = trusting(|_| {}).await;
    let invite = invite("cancel", "");
    assert!(deliver(&mut signalling, carrier(), &invite).is_empty());
    let cancel = invite.replace("INVITE sip:", "CANCEL sip:").replace("1 INVITE", "1 CANCEL");
    assert_eq!(statuses(&deliver(&mut signalling, carrier(), &cancel)), ["200", "487"]);
    let expected = ("cancelled".to_owned(), 487, DisconnectReason::NoAnswer);
    assert_eq!(record(&mut signalling, &control).await, expected);
}

#[tokio::test]
async fn an_invite_whose_trunk_cannot_be_looked_up_is_counted() {
    let (mut signalling, control) = trusting(|_| {}).await;
    control.set_unavailable(true);
    assert!(deliver(&mut signalling, carrier(), &invite("outage", "")).is_empty());
    assert_eq!(statuses(&apply_next_command(&mut signalling).await), ["503"]);
    let strangers = signalling.shared.strangers.list().strangers;
    let counts: Vec<_> = strangers.iter().map(|found| (found.rule, found.attempts)).collect();
    assert_eq!(counts, [("control_unavailable", 1)]);
}
