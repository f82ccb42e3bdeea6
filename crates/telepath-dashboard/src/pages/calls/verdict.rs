//! The verdict on a call: how it went in plain sentences, each of them a fact of its record.

use telepath_core::call::{CallDetails, CallMetrics, CallStatus, DisconnectReason, Turn};

use super::words::{advice_on_reason, advice_on_rule, how_it_ended};
use crate::chart::lanes::{LONG_WAIT_MS, with_waits};
use crate::chart::scale::Quality;
use crate::form::sentence;
use crate::number::{counted, grouped};
use crate::visible::visible;

/// Turns of the agent above this are named one by one.
const NAMED_WAIT_MS: u64 = 1500;
/// The most turns that are named.
const MAX_NAMED: usize = 3;

/// How a verdict is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Attention,
    Bad,
    Neutral,
}

/// A part of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Strong(String),
    Text(String),
    /// A link to a turn.
    Turn(u32),
}

/// How a call went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) tone: Tone,
    pub(crate) parts: Vec<Part>,
    /// The turn to look at next.
    pub(crate) worst_turn: Option<u32>,
}

impl Verdict {
    pub(crate) fn of(details: &CallDetails) -> Self {
        let reason = details.call.disconnect_reason.unwrap_or(DisconnectReason::Unknown);
        match details.call.status {
            CallStatus::Connected => live(),
            CallStatus::Failed => failed(details, reason),
            CallStatus::Disconnected => ended(details, reason),
        }
    }

    fn text(&mut self, text: impl Into<String>) {
        self.parts.push(Part::Text(text.into()));
    }
}

fn live() -> Verdict {
    let strong = Part::Strong("This call is live.".to_owned());
    let rest = Part::Text(" Turns, figures and signalling are recorded when it ends.".to_owned());
    Verdict { tone: Tone::Neutral, parts: vec![strong, rest], worst_turn: None }
}

/// The reason, what the record says about it, and what to do.
fn why(verdict: &mut Verdict, details: &CallDetails, reason: DisconnectReason) {
    if let Some(text) = &details.call.reason_text {
        verdict.text(format!(" {}", sentence(&visible(text))));
    }
    if let Some(said) = &details.sip.peer_reason {
        verdict.text(format!(" The carrier said: {}", sentence(&visible(said))));
    }
    let rule = details.sip.rule.as_deref().and_then(advice_on_rule);
    if let Some(advice) = rule.or(advice_on_reason(reason)) {
        verdict.text(format!(" {advice}"));
    }
}

fn failed(details: &CallDetails, reason: DisconnectReason) -> Verdict {
    let strong = Part::Strong(sentence(how_it_ended(reason)));
    let tone = match reason {
        DisconnectReason::NoAnswer => Tone::Attention,
        DisconnectReason::NormalDisconnect
        | DisconnectReason::AgentHangup
        | DisconnectReason::ApiHangup
        | DisconnectReason::Transferred
        | DisconnectReason::ConnectionFailed
        | DisconnectReason::NetworkError
        | DisconnectReason::AiProviderError
        | DisconnectReason::CarrierError
        | DisconnectReason::MaxDuration
        | DisconnectReason::TrunkDeleted
        | DisconnectReason::Rejected
        | DisconnectReason::ServerShutdown
        | DisconnectReason::Unknown => Tone::Bad,
    };
    let mut verdict = Verdict { tone, parts: vec![strong], worst_turn: None };
    why(&mut verdict, details, reason);
    verdict
}

/// Whether the call ended because one of the parties wanted it to.
const fn ended_well(reason: DisconnectReason) -> bool {
    match reason {
        DisconnectReason::NormalDisconnect
        | DisconnectReason::AgentHangup
        | DisconnectReason::ApiHangup
        | DisconnectReason::Transferred => true,
        DisconnectReason::NoAnswer
        | DisconnectReason::ConnectionFailed
        | DisconnectReason::NetworkError
        | DisconnectReason::AiProviderError
        | DisconnectReason::CarrierError
        | DisconnectReason::MaxDuration
        | DisconnectReason::TrunkDeleted
        | DisconnectReason::Rejected
        | DisconnectReason::ServerShutdown
        | DisconnectReason::Unknown => false,
    }
}

fn ended(details: &CallDetails, reason: DisconnectReason) -> Verdict {
    let metrics = &details.call.metrics;
    let waits = Waits::of(&details.turns);
    let quality = metrics.mos.map(Quality::of);
    let is_slow = waits.median.is_some_and(|median| median > LONG_WAIT_MS);
    let is_poor = quality == Some(Quality::Poor);
    let (tone, headline) = if !ended_well(reason) {
        (Tone::Bad, sentence(how_it_ended(reason)))
    } else if is_slow {
        (Tone::Attention, "The agent was slow.".to_owned())
    } else if is_poor {
        (Tone::Attention, "The line was poor.".to_owned())
    } else {
        match (waits.median, waits.slow) {
            (None, _) => (Tone::Neutral, "Nobody waited for a response.".to_owned()),
            (Some(_), 0) => (Tone::Good, "Good call.".to_owned()),
            (Some(_), slow) => {
                (Tone::Good, format!("Good call with {}.", counted(slow, "slow response", "slow responses")))
            }
        }
    };
    let mut verdict = Verdict { tone, parts: vec![Part::Strong(headline)], worst_turn: waits.worst };
    if !ended_well(reason) {
        why(&mut verdict, details, reason);
    }
    say_waits(&mut verdict, &waits, metrics);
    let interrupted = details.turns.iter().filter(|turn| turn.interrupted).count() as u64;
    if interrupted > 0 {
        verdict.text(format!(" {} cut off.", counted(interrupted, "turn was", "turns were")));
    }
    say_line(&mut verdict, quality, metrics);
    verdict
}

/// The waits of the caller.
struct Waits {
    median: Option<u64>,
    /// How many were above [`LONG_WAIT_MS`].
    slow: u64,
    /// The turn after the longest of them.
    worst: Option<u32>,
    /// The turns above [`NAMED_WAIT_MS`], with their waits.
    named: Vec<(u32, u64)>,
}

impl Waits {
    fn of(turns: &[Turn]) -> Self {
        let all: Vec<(u32, u64)> = with_waits(turns)
            .into_iter()
            .filter_map(|(turn, wait)| wait.map(|wait| (turn.turn_number, wait)))
            .collect();
        let slow: Vec<_> = all.iter().copied().filter(|(_, wait)| *wait > LONG_WAIT_MS).collect();
        let worst = slow.iter().max_by_key(|(_, wait)| *wait).map(|(turn, _)| *turn);
        let named = slow.iter().copied().filter(|(_, wait)| *wait > NAMED_WAIT_MS).collect();
        Self { median: median(all.into_iter().map(|(_, wait)| wait)), slow: slow.len() as u64, worst, named }
    }
}

/// The middle value; of an even number of values, the mean of the two in the middle.
pub(super) fn median(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    let high = *values.get(values.len() / 2)?;
    let low = *values.get((values.len() - 1) / 2)?;
    Some(low.midpoint(high))
}

fn say_waits(verdict: &mut Verdict, waits: &Waits, metrics: &CallMetrics) {
    let Some(median) = waits.median else { return };
    verdict.text(match metrics.gateway_processing_ms.map(u64::from) {
        Some(own) => format!(
            " The median wait was {} ms: {} ms for the agent and {own} ms for Telepath.",
            grouped(median),
            grouped(median.saturating_sub(own))
        ),
        None => format!(" The median wait was {} ms.", grouped(median)),
    });
    if waits.slow > waits.named.len() as u64 {
        let responses = counted(waits.slow, "response", "responses");
        verdict.text(format!(" {responses} took longer than {LONG_WAIT_MS} ms."));
    }
    for (turn, wait) in waits.named.iter().take(MAX_NAMED) {
        verdict.text(" In ");
        verdict.parts.push(Part::Turn(*turn));
        verdict.text(" the agent took ");
        verdict.parts.push(Part::Strong(format!("{}.{} s", wait / 1000, wait % 1000 / 100)));
        verdict.text(" to respond.");
    }
    if let Some(more) = waits.named.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
        verdict.text(format!(" {} more took longer than 1.5 s.", grouped(more as u64)));
    }
}

fn say_line(verdict: &mut Verdict, quality: Option<Quality>, metrics: &CallMetrics) {
    let Some(quality) = quality else { return };
    verdict.text(match quality {
        Quality::Clean => " The line was clean.".to_owned(),
        Quality::Fair | Quality::Poor => {
            let word = if quality == Quality::Fair { "fair" } else { "poor" };
            let measured = [
                metrics
                    .packet_loss_percent
                    .filter(|loss| *loss >= 0.05)
                    .map(|loss| format!("{loss:.1}% loss")),
                metrics
                    .jitter_ms
                    .filter(|jitter| *jitter >= 0.05)
                    .map(|jitter| format!("{jitter:.1} ms jitter")),
            ];
            let measured: Vec<String> = measured.into_iter().flatten().collect();
            if measured.is_empty() {
                format!(" The line was {word}.")
            } else {
                format!(" The line was {word}: {}.", measured.join(" and "))
            }
        }
    });
}

#[cfg(test)]
mod tests;
