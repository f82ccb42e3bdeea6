//! The signalling of a call: a ladder, and the messages beneath it. The trace holds neither credentials nor digits.

use telepath_core::call::CallDetails;
use telepath_core::call::sip_trace::{SipDirection, SipMessage, messages_of};
use telepath_core::event::EventKind;
use telepath_store::CallEvent;

use super::figures::talk_ms;
use crate::chart::Chart;
use crate::chart::ladder::{Ladder, Look, Media, Peer, Step};
use crate::number::{counted, grouped};
use crate::time::minutes_of;
use crate::visible::{visible, visible_lines};

/// Messages that are shown of the beginning and of the end of a call; those between are in the trace.
const BEGINNING: usize = 24;
const END: usize = 12;
/// The most characters of a label.
const LABEL: usize = 26;

pub(super) struct Signalling {
    pub(super) chart: Chart,
    pub(super) messages: Vec<Message>,
    /// Messages that the server did not record.
    pub(super) unrecorded: Option<String>,
    /// Messages that are recorded and not shown.
    pub(super) hidden: Option<String>,
}

/// A message that can be read.
pub(super) struct Message {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) detail: String,
    pub(super) text: String,
}

impl Signalling {
    /// `None` if nothing was recorded.
    pub(super) fn of(details: &CallDetails, events: &[CallEvent]) -> Option<Self> {
        let all = messages_of(&details.sip_trace);
        let first = all.first()?;
        let hidden = all.len().saturating_sub(BEGINNING + END);
        let unrecorded: u64 = all.iter().map(|message| message.omitted_before).sum();
        let mut hidden_before = 0;
        let mut shown: Vec<(Step, Option<Message>)> = Vec::new();
        for (place, message) in all.iter().enumerate() {
            hidden_before += message.omitted_before;
            if (BEGINNING..BEGINNING + hidden).contains(&place) {
                hidden_before += 1;
                continue;
            }
            let step = step_of(message, place, std::mem::take(&mut hidden_before));
            let text = raw(message, place, &step.label);
            shown.push((step, Some(text)));
        }
        shown.extend(events.iter().filter_map(|event| agent_step(event, details)).map(|step| (step, None)));
        // Stable, so that messages of one millisecond keep their order.
        shown.sort_by_key(|(step, _)| step.at_ms);
        let (steps, messages): (Vec<Step>, Vec<Option<Message>>) = shown.into_iter().unzip();
        let carrier = first.peer.to_string();
        let media = media_of(details, &steps);
        let ladder = Ladder { carrier: &carrier, agent: "WebSocket", steps: &steps, media };
        Some(Self {
            chart: ladder.draw(),
            messages: messages.into_iter().flatten().collect(),
            unrecorded: (unrecorded > 0).then(|| counted(unrecorded, "message was", "messages were")),
            hidden: (hidden > 0).then(|| counted(hidden as u64, "message is", "messages are")),
        })
    }
}

fn ms_of(at: std::time::Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}

fn shortened(text: &str) -> String {
    let text = visible(text);
    if text.chars().count() <= LABEL {
        return text;
    }
    let mut short: String = text.chars().take(LABEL - 1).collect();
    short.push('…');
    short
}

fn label_of(message: &SipMessage) -> String {
    match (message.status(), message.method()) {
        (Some(_), _) => {
            shortened(message.first_line().strip_prefix("SIP/2.0 ").unwrap_or_default().trim_end())
        }
        (None, Some(method)) => shortened(method),
        (None, None) => "Not SIP".to_owned(),
    }
}

fn has_header(message: &SipMessage, names: &[&str]) -> bool {
    let mut headers = message.text.lines().skip(1).take_while(|line| !line.trim_end().is_empty());
    headers.any(|line| {
        line.split_once(':')
            .is_some_and(|(name, _)| names.iter().any(|known| name.trim_end().eq_ignore_ascii_case(known)))
    })
}

fn step_of(message: &SipMessage, place: usize, left_out: u64) -> Step {
    let (status, method) = (message.status(), message.method().unwrap_or_default());
    let look = match status {
        Some(200..=299) => Look::Good,
        Some(300..) => Look::Attention,
        Some(_) | None => Look::Plain,
    };
    let note = match (status, method) {
        (None, "INVITE") if has_header(message, &["Authorization", "Proxy-Authorization"]) => {
            "with credentials".to_owned()
        }
        (Some(401 | 407), _) => "digest challenge".to_owned(),
        (Some(200..), method) if method != "INVITE" && !method.is_empty() => {
            format!("to {}", shortened(method))
        }
        (_, _) => String::new(),
    };
    Step {
        at_ms: ms_of(message.at),
        peer: Peer::Carrier,
        is_sent: message.direction == SipDirection::Sent,
        label: label_of(message),
        note,
        look,
        link: Some(format!("#m{place}")),
        left_out,
    }
}

fn raw(message: &SipMessage, place: usize, label: &str) -> Message {
    let way = match message.direction {
        SipDirection::Received => "from the carrier",
        SipDirection::Sent => "to the carrier",
    };
    let bytes = counted(message.text.len() as u64, "byte", "bytes");
    let cut = if message.is_cut() { ", cut" } else { "" };
    Message {
        id: format!("m{place}"),
        label: label.to_owned(),
        detail: format!("{} ms, {way}, {bytes}{cut}", grouped(ms_of(message.at))),
        text: visible_lines(&message.text.replace('\r', "")),
    }
}

/// The moments of the agent's socket, which are not in the trace.
fn agent_step(event: &CallEvent, details: &CallDetails) -> Option<Step> {
    let known = [
        (EventKind::AgentConnected, "WebSocket ready", false),
        (EventKind::AgentDisconnected, "WebSocket closed", true),
    ];
    let (_, label, is_sent) = known.into_iter().find(|(kind, ..)| *kind == event.kind)?;
    Some(Step {
        at_ms: ms_of(event.at.since(details.call.start_time)),
        peer: Peer::Agent,
        is_sent,
        label: label.to_owned(),
        note: String::new(),
        look: Look::Socket,
        link: None,
        left_out: 0,
    })
}

/// The audio of an answered call stands after the ACK to the answer.
fn media_of(details: &CallDetails, steps: &[Step]) -> Option<Media> {
    let call = &details.call;
    call.answer_time.and(call.end_time)?;
    let answer = steps.iter().position(|step| step.look == Look::Good && step.note.is_empty())?;
    let is_ack = |step: &Step| step.label == "ACK" && step.peer == Peer::Carrier;
    let behind = steps.get(answer + 1..).unwrap_or_default();
    let ack = behind.iter().take(3).position(is_ack).map_or(0, |place| place + 1);
    // The agent may be ready after the answer; audio flows from then on.
    let late = behind.iter().skip(ack).take_while(|step| step.peer == Peer::Agent && !step.is_sent).count();
    let counts = &call.metrics.counts;
    Some(Media {
        before: answer + 1 + ack + late,
        title: format!("Audio, {}", minutes_of(talk_ms(call))),
        note: format!(
            "{} packets in, {} out, {} lost",
            grouped(counts.rtp_received),
            grouped(counts.rtp_sent),
            grouped(counts.rtp_lost)
        ),
    })
}
