//! Whole calls over good and bad networks.

use super::super::{EndCause, Event};
use super::pair::{FAIR, Pair, Weather, sdp};

fn ended(event: &Event) -> Option<EndCause> {
    match event {
        Event::Ended { cause, .. } => Some(cause.clone()),
        _ => None,
    }
}

#[test]
fn a_call_is_set_up_and_cleared_by_the_caller() {
    let (mut pair, ours, _) = Pair::established(1, FAIR);
    pair.caller.hang_up(ours, pair.now).unwrap();
    pair.settle();
    assert_eq!(pair.until_callee(ended), EndCause::RemoteHangUp);
    assert_eq!(pair.until_caller(ended), EndCause::LocalHangUp { confirmed: true });
    pair.drain();
}

#[test]
fn a_call_is_cleared_by_the_callee() {
    let (mut pair, _, theirs) = Pair::established(1, FAIR);
    pair.callee.hang_up(theirs, pair.now).unwrap();
    pair.settle();
    assert_eq!(pair.until_caller(ended), EndCause::RemoteHangUp);
    assert_eq!(pair.until_callee(ended), EndCause::LocalHangUp { confirmed: true });
    pair.drain();
}

#[test]
fn calls_complete_and_leave_nothing_over_whatever_the_network_does() {
    let storm = Weather { lost: 25, doubled: 20, delay_ms: 700 };
    for seed in 1..=200 {
        let mut pair = Pair::new(seed, storm);
        let ours = pair.call(None);
        let theirs = pair.incoming();
        let _ringing = pair.callee.ring(theirs, pair.now);
        pair.callee.accept(theirs, &sdp("v=0 answer"), pair.now).unwrap();
        pair.settle();
        pair.until_caller(|event| matches!(event, Event::Answered { .. }).then_some(()));
        if seed % 2 == 0 {
            pair.until_callee(|event| matches!(event, Event::Confirmed { .. }).then_some(()));
            pair.callee.hang_up(theirs, pair.now).unwrap();
        } else {
            pair.caller.hang_up(ours, pair.now).unwrap();
        }
        pair.settle();
        pair.drain();
        let ends = |events: &[Event]| events.iter().filter_map(ended).count();
        assert_eq!((ends(&pair.caller_events), ends(&pair.callee_events)), (1, 1), "seed {seed}");
    }
}
