//! DTMF digits, hold and resume in the call record.

use telepath_core::call::{CallerActionKind, DtmfMethod};

use super::agent::wait_for_event;
use super::fixture::ScriptedAgent;
use super::renegotiation::ScriptedCaller;
use crate::DtmfRecords;

/// A call with a digit by INFO, a hold and a resume. Returns kind, digit and method of each recorded action, and the SIP trace.
async fn recorded(
    records: DtmfRecords,
) -> (Vec<(CallerActionKind, Option<char>, Option<DtmfMethod>)>, String) {
    let mut agent = ScriptedAgent::start().await;
    let mut caller =
        ScriptedCaller::with(&agent.url, "actions", |options| options.dtmf_records = records).await;
    caller.send("INVITE", 1, &caller.sdp("0", "sendrecv")).await;
    caller.answer(1, "INVITE").await;
    caller.send("ACK", 1, "").await;
    let mut socket = agent.connection().await;
    caller.send_typed("INFO", 2, "application/dtmf-relay", "Signal=7\r\nDuration=160\r\n").await;
    assert!(caller.answer(2, "INFO").await.starts_with("SIP/2.0 200"));
    assert!(
        wait_for_event(&mut socket, "dtmf").await.contains("\"digit\":\"7\""),
        "the agent always gets digits"
    );
    for (cseq, direction, event) in [(3, "sendonly", "hold"), (4, "sendrecv", "resume")] {
        caller.send("INVITE", cseq, &caller.sdp("0", direction)).await;
        caller.answer(cseq, "INVITE").await;
        caller.send("ACK", cseq, "").await;
        wait_for_event(&mut socket, event).await;
    }
    let end = caller.bye(5).await;
    assert!(end.caller_actions.is_sorted_by_key(|action| action.at_ms), "{:?}", end.caller_actions);
    assert_eq!(end.metrics.counts.caller_actions_omitted, 0);
    let actions = end.caller_actions.iter().map(|action| (action.kind, action.digit, action.method));
    (actions.collect(), end.sip_trace)
}

#[tokio::test(flavor = "multi_thread")]
async fn digits_are_masked_in_record_and_trace_unless_the_operator_wants_them() {
    for (records, digit) in [(DtmfRecords::Masked, None), (DtmfRecords::Digits, Some('7'))] {
        let (actions, trace) = recorded(records).await;
        let expected = [
            (CallerActionKind::Dtmf, digit, Some(DtmfMethod::Info)),
            (CallerActionKind::Hold, None, None),
            (CallerActionKind::Resume, None, None),
        ];
        assert_eq!(actions, expected);
        assert!(trace.contains("INFO sip:") && !trace.contains("Signal="), "{trace}");
    }
}
