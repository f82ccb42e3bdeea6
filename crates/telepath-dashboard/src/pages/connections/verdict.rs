//! How a connection is, in a sentence, and the one next step.

use telepath_core::call::{CallRecord, CallStatus, DisconnectReason};
use telepath_core::clock::Timestamp;
use telepath_core::trunk::{Trunk, TrunkMetrics, TrunkStatus};

use crate::form::sentence;
use crate::icon::{self, Icon};
use crate::number::{counted, grouped};
use crate::reason;
use crate::time::relative;
use crate::visible::visible_lines;

/// What is known of a connection.
pub(super) struct Facts<'a> {
    pub(super) trunk: &'a Trunk,
    pub(super) metrics: &'a TrunkMetrics,
    pub(super) live_calls: u64,
    /// The latest call on record.
    pub(super) last: Option<&'a CallRecord>,
    /// The median AI latency of the range that the page shows, in milliseconds.
    pub(super) latency: Option<u64>,
    pub(super) now: Timestamp,
}

/// How a connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The class of the badge, and its icon.
    pub(super) badge: (&'static str, Icon),
    pub(super) headline: String,
    pub(super) rest: String,
    pub(super) step: Option<Step>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) label: &'static str,
    pub(super) path: String,
}

const BAD: (&str, Icon) = ("badge-bad", icon::CIRCLE_ALERT);
const ATTENTION: (&str, Icon) = ("badge-warn", icon::WARNING);
const NEUTRAL: (&str, Icon) = ("badge-info", icon::INFO);
const GOOD: (&str, Icon) = ("badge-ok", icon::CIRCLE_CHECK);

impl Facts<'_> {
    /// The most urgent fact is the headline.
    pub(super) fn verdict(&self) -> Verdict {
        let verdict = |badge, headline: &str, rest: String, step| Verdict {
            badge,
            headline: headline.to_owned(),
            rest,
            step,
        };
        match self.trunk.status {
            TrunkStatus::Inactive => {
                let live = self.live().unwrap_or_default();
                let rest = format!("New calls are refused. {live}");
                return verdict(NEUTRAL, "Switched off.", rest.trim_end().to_owned(), None);
            }
            TrunkStatus::Error => {
                let why = self.trunk.status_reason.as_deref().map(|why| sentence(&visible_lines(why)));
                let rest = format!(
                    "{} Calls are still accepted; the first one that reaches it clears this.",
                    why.unwrap_or_default()
                );
                let headline = "The most recent calls did not reach its agent.";
                return verdict(BAD, headline, rest.trim_start().to_owned(), self.look_at_last());
            }
            TrunkStatus::Active => {}
        }
        let Some(last) = self.last else {
            let rest = "Nothing has called it yet.".to_owned();
            let step = Step {
                label: "Set up the carrier",
                path: format!("{}/carrier", super::path_of(self.trunk.id)),
            };
            return verdict(NEUTRAL, "Ready.", rest, Some(step));
        };
        if let Some(reason) = last.disconnect_reason.filter(|reason| is_fault(last.status, *reason)) {
            let ago = relative(last.start_time, self.now);
            let rest = format!("The last call was {ago}. {}", self.figures());
            let badge = if reason == DisconnectReason::Rejected { ATTENTION } else { BAD };
            let headline = format!("{} at the last call.", reason::in_words(reason));
            return verdict(badge, &headline, rest, self.look_at_last());
        }
        verdict(GOOD, "Healthy.", self.figures(), None)
    }

    fn look_at_last(&self) -> Option<Step> {
        self.last.map(|call| Step { label: "View the last call", path: format!("/calls/{}", call.id) })
    }

    fn live(&self) -> Option<String> {
        let calls = counted(self.live_calls, "live call continues", "live calls continue");
        (self.live_calls > 0).then(|| format!("{calls}."))
    }

    fn figures(&self) -> String {
        let today = match (self.metrics.calls_today, self.metrics.success_rate) {
            (0, _) => "No calls today.".to_owned(),
            (calls, Some(rate)) => {
                format!("{} today; {rate:.1}% reached the agent.", counted(calls, "call", "calls"))
            }
            (calls, None) => format!("{} today.", counted(calls, "call", "calls")),
        };
        match self.latency {
            Some(median) => format!("{today} The agent responds in {} ms (median).", grouped(median)),
            None => today,
        }
    }
}

/// Whether a call ended as nobody wanted it to.
const fn is_fault(status: CallStatus, reason: DisconnectReason) -> bool {
    match reason {
        DisconnectReason::ConnectionFailed
        | DisconnectReason::NetworkError
        | DisconnectReason::AiProviderError
        | DisconnectReason::CarrierError
        | DisconnectReason::Rejected => true,
        DisconnectReason::Unknown => matches!(status, CallStatus::Failed),
        DisconnectReason::NormalDisconnect
        | DisconnectReason::AgentHangup
        | DisconnectReason::ApiHangup
        | DisconnectReason::Transferred
        | DisconnectReason::NoAnswer
        | DisconnectReason::MaxDuration
        | DisconnectReason::TrunkDeleted
        | DisconnectReason::ServerShutdown => false,
    }
}
