//! The rules of the verdict.

use telepath_core::call::{CallRecord, Direction, Party, SipFacts, Speaker};
use telepath_core::clock::Timestamp;
use telepath_core::id::{CallId, Id as _, TrunkId};

use super::*;

fn details(status: CallStatus, reason: DisconnectReason, waits: &[u64]) -> CallDetails {
    let start = Timestamp::from_unix_seconds(1_800_000_000);
    let turns = (1..).zip(waits).flat_map(|(pair, wait)| {
        let turn = |number, speaker, processing_time_ms| Turn {
            turn_number: number,
            speaker,
            started_ms: u64::from(number) * 5000,
            duration_ms: 2000,
            processing_time_ms,
            interrupted: false,
        };
        [turn(pair * 2 - 1, Speaker::Caller, 0), turn(pair * 2, Speaker::Agent, *wait)]
    });
    CallDetails {
        call: CallRecord {
            id: CallId::from_bytes([1; 16]),
            trunk_id: TrunkId::from_bytes([2; 16]),
            from: Party::from_sip_user("+15550100001"),
            to: Party::from_sip_user("+15550100002"),
            direction: Direction::Inbound,
            carrier: None,
            status,
            duration_seconds: 60,
            start_time: start,
            answer_time: Some(start),
            end_time: Some(start),
            disconnect_reason: Some(reason),
            reason_text: None,
            metrics: CallMetrics::default(),
        },
        turns: turns.collect(),
        caller_actions: Vec::new(),
        sip_trace: String::new(),
        sip: SipFacts::default(),
    }
}

fn read(details: &CallDetails) -> (Tone, String) {
    let verdict = Verdict::of(details);
    let words = verdict.parts.iter().map(|part| match part {
        Part::Strong(text) | Part::Text(text) => text.clone(),
        Part::Turn(number) => format!("turn {number}"),
    });
    (verdict.tone, words.collect())
}

#[test]
fn a_call_within_every_threshold_is_good() {
    let mut call = details(CallStatus::Disconnected, DisconnectReason::NormalDisconnect, &[600, 604, 800]);
    call.call.metrics.gateway_processing_ms = Some(11);
    call.call.metrics.mos = Some(4.0);
    let said = "Good call. The median wait was 604 ms: 593 ms for the agent and 11 ms for Telepath. The line was clean.";
    assert_eq!(read(&call), (Tone::Good, said.to_owned()));
}

#[test]
fn slow_responses_are_counted_and_very_slow_ones_named() {
    let call = details(CallStatus::Disconnected, DisconnectReason::AgentHangup, &[600, 602, 801, 500, 1930]);
    let (tone, said) = read(&call);
    assert_eq!(tone, Tone::Good);
    assert_eq!(
        said,
        "Good call with 2 slow responses. The median wait was 602 ms. 2 responses took longer than 800 ms. \
         In turn 10 the agent took 1.9 s to respond."
    );
    assert_eq!(Verdict::of(&call).worst_turn, Some(10));
    let many = details(CallStatus::Disconnected, DisconnectReason::AgentHangup, &[1501; 5]);
    let (tone, said) = read(&many);
    assert!(tone == Tone::Attention && said.starts_with("The agent was slow."), "{said}");
    assert!(
        said.ends_with("In turn 6 the agent took 1.5 s to respond. 2 more took longer than 1.5 s."),
        "{said}"
    );
}

#[test]
fn the_line_is_fair_from_3_6_and_poor_below() {
    let mut call = details(CallStatus::Disconnected, DisconnectReason::NormalDisconnect, &[500]);
    call.call.metrics.mos = Some(3.6);
    call.call.metrics.packet_loss_percent = Some(2.25);
    call.call.metrics.jitter_ms = Some(31.0);
    assert!(read(&call).1.ends_with("The line was fair: 2.2% loss and 31.0 ms jitter."), "{:?}", read(&call));
    call.call.metrics.mos = Some(3.59);
    let (tone, said) = read(&call);
    assert!(tone == Tone::Attention && said.starts_with("The line was poor."), "{said}");
}

#[test]
fn interruptions_are_counted() {
    let mut call = details(CallStatus::Disconnected, DisconnectReason::NormalDisconnect, &[500, 500]);
    call.turns[1].interrupted = true;
    assert!(read(&call).1.ends_with(" 1 turn was cut off."));
}

#[test]
fn a_failed_call_says_the_rule_and_what_to_do() {
    let mut call = details(CallStatus::Failed, DisconnectReason::Rejected, &[]);
    call.call.reason_text = Some("the trunk is inactive".to_owned());
    call.sip.rule = Some("trunk_inactive".to_owned());
    let said = "Refused by Telepath. The trunk is inactive. Activate the connection to take calls.";
    assert_eq!(read(&call), (Tone::Bad, said.to_owned()));
    let mut call = details(CallStatus::Failed, DisconnectReason::ConnectionFailed, &[]);
    call.call.reason_text = Some("no response from wss://agent.example within 2 s".to_owned());
    let (_, said) = read(&call);
    assert!(said.starts_with(
        "The agent could not be reached. No response from wss://agent.example within 2 s. Check"
    ));
}

#[test]
fn an_end_that_nobody_wanted_comes_first() {
    let call = details(CallStatus::Disconnected, DisconnectReason::AiProviderError, &[500]);
    let (tone, said) = read(&call);
    assert_eq!(tone, Tone::Bad);
    assert_eq!(said, "The agent failed. The agent’s own log says why. The median wait was 500 ms.");
}

#[test]
fn what_was_not_measured_is_not_said() {
    let call = details(CallStatus::Disconnected, DisconnectReason::NormalDisconnect, &[]);
    assert_eq!(read(&call), (Tone::Neutral, "Nobody waited for a response.".to_owned()));
    let live = details(CallStatus::Connected, DisconnectReason::Unknown, &[]);
    assert!(read(&live).1.starts_with("This call is live."));
}

#[test]
fn texts_from_outside_cannot_mislead() {
    let mut call = details(CallStatus::Failed, DisconnectReason::NoAnswer, &[]);
    call.sip.peer_reason = Some("Q.850\u{202e};cause=16".to_owned());
    assert!(read(&call).1.contains("Q.850\\u{202e};cause=16"));
}

#[test]
fn the_median_of_an_even_number_is_in_the_middle() {
    assert_eq!(median([1, 3, 9, 5].into_iter()), Some(4));
    assert_eq!((median([7].into_iter()), median([].into_iter())), (Some(7), None));
}
