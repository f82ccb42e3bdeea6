//! Random requests within the dialog of a call, in any order and with any fault, while the application responds as it likes:
//! whatever the peer does, each request gets one final response, and the call ends once and leaves nothing behind.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::super::{CallHandle, DialogEnd, EndpointCounts, Event, InviteRejection};
use super::harness::{Harness, TestRequest, without_body};
use super::pair::sdp;
use crate::message::StatusCode;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A request with the next `CSeq`, and one of [`ODD_HEADERS`].
    Request {
        method: &'static str,
        with_offer: bool,
        odd: Option<usize>,
    },
    /// A request with a `CSeq` that has been used.
    OldSequence {
        method: &'static str,
    },
    /// A BYE whose local or remote tag is not that of the call.
    ByeOfAnotherDialog {
        wrong_local: bool,
    },
    /// A CANCEL of the latest re-INVITE, or of none.
    Cancel {
        latest: bool,
    },
    /// The ACK of the latest re-INVITE, or of another one.
    Ack {
        latest: bool,
    },
    /// The latest request once more.
    Repeat,
    Bye,
    Accept,
    Reject,
    HangUp,
    Wait {
        millis: u64,
    },
}

/// Headers that a peer should not send.
const ODD_HEADERS: [&str; 16] = [
    "Contact: *\r\n",
    "Contact: <sip:a@192.0.2.66>, <sip:b@192.0.2.67>\r\n",
    "Contact: <tel:+15550100123>\r\n",
    "Contact: <sip:@>\r\n",
    "Record-Route: <sip:192.0.2.66;lr>\r\n",
    "Record-Route: <sip:[::bad>\r\n",
    "Session-Expires: 1\r\nMin-SE: 90\r\n",
    "Session-Expires: -5;refresher=nobody\r\n",
    "Max-Forwards: many\r\n",
    "Require: timer, 100rel\r\n",
    "Content-Type: multipart/mixed;boundary=\"\"\r\n",
    "Content-Type: multipart/mixed\r\n",
    "Content-Type: application/isup\r\n",
    "Content-Length: 99999\r\n",
    "Accept: text/html\r\n",
    "X-No-Colon\r\n",
];

const METHODS: [&str; 7] = ["INVITE", "UPDATE", "INFO", "OPTIONS", "MESSAGE", "PRACK", "NOTIFY"];

fn step() -> impl Strategy<Value = Step> {
    let method = prop::sample::select(METHODS.to_vec());
    let odd = prop_oneof![2 => Just(None), 1 => (0..ODD_HEADERS.len()).prop_map(Some)];
    prop_oneof![
        8 => (method.clone(), any::<bool>(), odd)
            .prop_map(|(method, with_offer, odd)| Step::Request { method, with_offer, odd }),
        1 => method.prop_map(|method| Step::OldSequence { method }),
        2 => any::<bool>().prop_map(|wrong_local| Step::ByeOfAnotherDialog { wrong_local }),
        2 => any::<bool>().prop_map(|latest| Step::Cancel { latest }),
        4 => any::<bool>().prop_map(|latest| Step::Ack { latest }),
        2 => Just(Step::Repeat),
        1 => Just(Step::Bye),
        4 => Just(Step::Accept),
        2 => Just(Step::Reject),
        1 => Just(Step::HangUp),
        3 => (0_u64..9_000).prop_map(|millis| Step::Wait { millis }),
    ]
}

struct Peer {
    harness: Harness,
    call: CallHandle,
    tag: String,
    cseq: u32,
    /// The branch and `CSeq` of the latest re-INVITE.
    reinvite: Option<(String, u32)>,
    latest: String,
    /// The final statuses of each transaction that needs one.
    finals: BTreeMap<(String, String), BTreeSet<u16>>,
}

impl Peer {
    fn new() -> Self {
        let (harness, call, tag) = Harness::established();
        Self { harness, call, tag, cseq: 5, reinvite: None, latest: String::new(), finals: BTreeMap::new() }
    }

    /// Sends a request that needs a response.
    fn request(&mut self, method: &str, branch: &str, cseq: u32, text: String) {
        self.finals.entry((branch.to_owned(), format!("{cseq} {method}"))).or_default();
        let sent = self.harness.receive_text(&text);
        // An UPDATE with an offer waits for the application.
        assert!(!sent.is_empty() || method == "UPDATE", "no response to {text}");
        self.note(&sent);
        self.latest = text;
    }

    /// Notes the final responses; whatever else is sent is our BYE.
    fn note(&mut self, sent: &[String]) {
        for message in sent {
            let Some(status) =
                message.strip_prefix("SIP/2.0 ").and_then(|rest| rest[..3].parse::<u16>().ok())
            else {
                assert!(message.starts_with("BYE "), "{message}");
                continue;
            };
            let line = |name: &str| message.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            let branch = line("Via: ").split("branch=z9hG4bK").nth(1).unwrap();
            let key = (branch.split(';').next().unwrap().to_owned(), line("CSeq: ").to_owned());
            if status >= 200
                && let Some(statuses) = self.finals.get_mut(&key)
            {
                statuses.insert(status);
            }
        }
    }

    fn simple(&mut self, method: &str, branch: &str, cseq: u32, tag: &str) {
        let (start, number) = (format!("{method} sip:x SIP/2.0"), format!("{cseq} {method}"));
        let text = without_body(&start, branch, &number, tag).text();
        self.request(method, branch, cseq, text);
    }

    fn take(&mut self, step: Step, number: usize) {
        let (branch, tag) = (format!("step{number}"), self.tag.clone());
        match step {
            Step::Request { method, with_offer, odd } => {
                self.cseq += 1;
                let (start, cseq) = (format!("{method} sip:x SIP/2.0"), format!("{} {method}", self.cseq));
                let body = if with_offer { "v=0\r\n" } else { "" };
                let mut extra = if with_offer { "Content-Type: application/sdp\r\n" } else { "" }.to_owned();
                extra.push_str(odd.map_or("", |odd| ODD_HEADERS[odd]));
                let request = TestRequest {
                    start: &start,
                    branch: &branch,
                    to_tag: &tag,
                    cseq: &cseq,
                    extra: &extra,
                    body,
                };
                if method == "INVITE" {
                    self.reinvite = Some((branch.clone(), self.cseq));
                }
                self.request(method, &branch, self.cseq, request.text());
            }
            Step::OldSequence { method } => self.simple(method, &branch, 5, &tag),
            Step::ByeOfAnotherDialog { wrong_local } => {
                let ends = self.harness.dialog_ends().len();
                let tag = if wrong_local { ";tag=other" } else { tag.as_str() };
                let text = without_body("BYE sip:x SIP/2.0", &branch, "900 BYE", tag).text();
                let text = if wrong_local { text } else { text.replace(";tag=pt", ";tag=other") };
                self.request("BYE", &branch, 900, text);
                assert_eq!(self.finals[&(branch, "900 BYE".to_owned())], BTreeSet::from([481]));
                assert_eq!(self.harness.dialog_ends().len(), ends, "the BYE of another dialog");
            }
            Step::Cancel { latest } => {
                let latest = self.reinvite.clone().filter(|_| latest);
                let (branch, cseq) = latest.unwrap_or((branch, self.cseq));
                self.simple("CANCEL", &branch, cseq, "");
            }
            Step::Ack { latest } => {
                let cseq = self.reinvite.as_ref().filter(|_| latest).map_or(5, |(_, cseq)| *cseq);
                let ack = without_body("ACK sip:x SIP/2.0", &branch, &format!("{cseq} ACK"), &tag).text();
                let sent = self.harness.receive_text(&ack);
                assert!(
                    sent.iter().all(|sent| sent.starts_with("BYE ")),
                    "an ACK is never answered: {sent:?}"
                );
            }
            Step::Repeat if self.latest.is_empty() => {}
            Step::Repeat => {
                let sent = self.harness.receive_text(&self.latest.clone());
                self.note(&sent);
            }
            Step::Bye => {
                self.cseq += 1;
                self.simple("BYE", &branch, self.cseq, &tag);
            }
            // Each of these fails if the call is in no state for it.
            Step::Accept => {
                let _ = self.harness.endpoint.accept_reinvite(self.call, &sdp("v=0\r\n"), self.harness.now);
            }
            Step::Reject => {
                let rejection = InviteRejection::of(StatusCode::NOT_ACCEPTABLE_HERE);
                let _ = self.harness.endpoint.reject_reinvite(self.call, rejection, self.harness.now);
            }
            Step::HangUp => {
                let _ = self.harness.endpoint.hang_up(self.call, self.harness.now);
            }
            Step::Wait { millis } => {
                let sent = self.harness.advance(Duration::from_millis(millis));
                self.note(&sent);
            }
        }
        self.harness.sent.clear();
        self.harness.collect();
        let sent = std::mem::take(&mut self.harness.sent);
        self.note(&sent);
    }

    /// Ends the call, whatever its state, and waits until everything is over.
    fn finish(&mut self) {
        let _ = self.harness.endpoint.hang_up(self.call, self.harness.now);
        self.harness.sent.clear();
        self.harness.collect();
        let sent = std::mem::take(&mut self.harness.sent);
        self.note(&sent);
        let sent = self.harness.advance(Duration::from_mins(5));
        self.note(&sent);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn every_request_within_a_dialog_gets_one_final_response_and_the_call_ends_once(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let mut peer = Peer::new();
        for (number, step) in steps.iter().enumerate() {
            let ended = !peer.harness.dialog_ends().is_empty();
            peer.take(*step, number);
            let ends = peer.harness.dialog_ends();
            prop_assert!(ends.len() <= 1, "{:?}", ends);
            // Only a BYE, our hang-up and a missing ACK end a call.
            if !ended && !ends.is_empty() {
                prop_assert!(matches!(
                    (step, &ends[0]),
                    (Step::Bye, DialogEnd::ByeReceived)
                        | (Step::Repeat | Step::Wait { .. }, DialogEnd::ByeSent { .. } | DialogEnd::AckTimeout)
                ), "{:?} {:?}", step, ends);
            }
        }
        peer.finish();
        prop_assert_eq!(peer.harness.dialog_ends().len(), 1);
        prop_assert_eq!(peer.harness.endpoint.counts(), EndpointCounts::default());
        for (transaction, statuses) in &peer.finals {
            prop_assert_eq!(statuses.len(), 1, "{:?} {:?}", transaction, statuses);
        }
        let offers = peer.harness.events.iter().filter(|event| matches!(event, Event::ReInvite { .. })).count();
        prop_assert!(offers <= steps.len());
    }
}
