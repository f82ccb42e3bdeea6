//! Numbers as carriers dial them, from a trusted source and with digest.

use telepath_core::call::CallEnd;
use telepath_core::trunk::E164;

use super::early_refusals::trusting;
use super::*;

/// An INVITE of the trusted carrier to a user part.
fn dial(user: &str) -> String {
    let call_id: String = user.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    invite(&call_id, "").replace(USER, user)
}

fn list(control: &TestControl, numbers: &[&str]) {
    let numbers = numbers.iter().map(|number| E164::try_from((*number).to_owned()).unwrap()).collect();
    control.change_trunk(|found| found.trunk.settings.inbound_numbers = numbers);
}

/// The responses to an INVITE that is looked up, until it rings or is refused.
async fn responses(signalling: &mut Signalling, invite: &str) -> Vec<String> {
    assert!(deliver(signalling, carrier(), invite).is_empty());
    let mut responses = Vec::new();
    while responses.is_empty() {
        responses = apply_next_command(signalling).await;
    }
    responses
}

async fn refused(signalling: &mut Signalling, control: &TestControl, invite: &str) -> CallEnd {
    let before = control.wait_for_ends(0).await.len();
    let responses = responses(signalling, invite).await;
    assert_eq!(statuses(&responses), ["404"]);
    signalling.write_refusals();
    let end = control.wait_for_ends(before + 1).await.pop().unwrap();
    assert!(responses[0].contains(end.sip.rule.as_deref().unwrap()), "{}", responses[0]);
    end
}

#[tokio::test]
async fn every_way_to_write_a_global_number_reaches_its_trunk() {
    for user in [
        "+493012345678",
        "+49-30-1234.5678",
        "+49(30)12345678",
        "493012345678",
        "00493012345678",
        "3012345678;phone-context=+49",
        "12345678;phone-context=+4930",
        "+493012345678;phone-context=+1",
        "%2B493012345678;npdi",
    ] {
        for parameter in ["", ";user=phone"] {
            let (mut signalling, control) = trusting(|_| {}).await;
            list(&control, &["+493012345678"]);
            let invite = dial(user).replace("@192.0.2.20 SIP", &format!("@192.0.2.20{parameter} SIP"));
            assert_eq!(statuses(&responses(&mut signalling, &invite).await), ["180"], "{user}{parameter}");
            let start = control.wait_for_start().await;
            assert_eq!(start.to.as_str(), "+493012345678", "{user}{parameter}");
        }
    }
}

#[tokio::test]
async fn a_national_number_is_refused_and_its_record_names_it_and_the_number_of_the_trunk() {
    let (mut signalling, control) = trusting(|_| {}).await;
    list(&control, &["+493012345678"]);
    for dialled in ["03012345678", "3012345678", "030-1234-5678"] {
        let end = refused(&mut signalling, &control, &dial(dialled)).await;
        assert_eq!(end.sip.rule.as_deref(), Some("national_number"), "{dialled}");
        let digits: String = dialled.chars().filter(char::is_ascii_digit).collect();
        assert_eq!(end.to.as_str(), digits);
        let text = end.reason_text.unwrap();
        assert!(text.contains(&digits) && text.contains("+493012345678"), "{text}");
    }
}

#[tokio::test]
async fn another_number_is_not_listed() {
    let (mut signalling, control) = trusting(|_| {}).await;
    list(&control, &["+493012345678"]);
    for dialled in ["+493012345679", "3012345678;phone-context=+43", "+3012345678", "00433012345678"] {
        let end = refused(&mut signalling, &control, &dial(dialled)).await;
        assert_eq!(end.sip.rule.as_deref(), Some("number_not_listed"), "{dialled}");
        assert!(end.reason_text.unwrap().contains("+493012345678"), "{dialled}");
    }
}

#[tokio::test]
async fn a_trunk_that_takes_any_number_takes_national_ones() {
    let (mut signalling, control) = trusting(|_| {}).await;
    assert_eq!(statuses(&responses(&mut signalling, &dial("03012345678")).await), ["180"]);
    assert_eq!(control.wait_for_start().await.to.as_str(), "03012345678");
}

#[tokio::test]
async fn a_national_number_with_a_valid_digest_is_refused_with_the_same_rule() {
    let (mut signalling, control) = signalling(|_| {});
    list(&control, &["+493012345678"]);
    let valid = answer_to_challenge_of(&mut signalling, carrier(), "03012345678", 1, PASSWORD);
    let end = refused(&mut signalling, &control, &valid).await;
    assert_eq!((end.sip.rule.as_deref(), end.to.as_str()), (Some("national_number"), "03012345678"));
    assert!(end.reason_text.unwrap().contains("+493012345678"));
}
