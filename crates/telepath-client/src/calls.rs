//! `/v1/calls`: see calls and hang up live ones.

use serde::{Deserialize, Serialize};
use telepath_core::call::MediaCounts;
use telepath_core::clock::Timestamp;
use telepath_core::id::{CallId, TrunkId};

use crate::client::Client;
use crate::error::Error;
use crate::page::{ListPage, Pagination};
use crate::request::Query;

/// A call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Its id.
    pub id: CallId,
    /// On which trunk.
    pub trunk_id: TrunkId,
    /// Who called.
    pub from: String,
    /// Whom.
    pub to: String,
    /// `inbound`.
    pub direction: String,
    /// The carrier, if known.
    pub carrier: Option<String>,
    /// `connected`, `disconnected` or `failed`.
    pub status: String,
    /// Seconds from answer to end.
    pub duration_seconds: u32,
    /// When the call came in.
    pub start_time: Timestamp,
    /// When it was answered.
    pub answer_time: Option<Timestamp>,
    /// When it ended.
    pub end_time: Option<Timestamp>,
    /// Why it ended.
    pub disconnect_reason: Option<String>,
    /// More about the reason, for people.
    #[serde(default)]
    pub reason_text: Option<String>,
    /// Delay of the carrier's leg in milliseconds.
    pub carrier_lag_ms: Option<u32>,
    /// Mean delay of the agent's answers in milliseconds.
    pub ai_latency_ms: Option<u32>,
    /// Median time inside Telepath in milliseconds.
    pub gateway_processing_ms: Option<u32>,
}

/// The figures of a call; `None` where nothing was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallFigures {
    /// Delay of the carrier's leg in milliseconds.
    pub carrier_lag_ms: Option<u32>,
    /// `rtcp` or `first_rtp`.
    pub carrier_lag_source: Option<String>,
    /// Mean delay of the agent's answers in milliseconds.
    pub ai_latency_ms: Option<u32>,
    /// Median time inside Telepath in milliseconds.
    pub gateway_processing_ms: Option<u32>,
    /// The same in microseconds.
    pub gateway_processing_us: Option<u32>,
    /// Caller's speech ends to first packet of the answer, in milliseconds.
    pub time_to_first_speech_ms: Option<u32>,
    /// Packets of the caller that never came, 0–100.
    pub packet_loss_percent: Option<f64>,
    /// Interarrival jitter in milliseconds.
    pub jitter_ms: Option<f64>,
    /// Estimated mean opinion score, 1.0–4.5.
    pub mos: Option<f64>,
    /// The carrier side's codec.
    pub codec_used: Option<String>,
    /// What was counted of its media.
    pub counts: MediaCounts,
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallTurn {
    /// 1 for the first.
    pub turn_number: u32,
    /// `caller` or `agent`.
    pub speaker: String,
    /// Milliseconds after the answer.
    pub started_ms: u64,
    /// Milliseconds.
    pub duration_ms: u64,
    /// That turn's AI latency in milliseconds; 0 for the caller.
    pub processing_time_ms: u64,
    /// Whether the other side cut it short.
    pub interrupted: bool,
}

/// A call with all that was kept of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallDetails {
    /// The call.
    #[serde(flatten)]
    pub call: Call,
    /// Its figures.
    pub metrics: CallFigures,
    /// Its turns.
    pub turns: Vec<CallTurn>,
    /// Its SIP messages, without secrets.
    pub sip_trace: String,
}

/// Which calls to list.
#[derive(Debug, Clone, Default)]
pub struct CallsQuery {
    /// Only calls of this trunk.
    pub trunk_id: Option<TrunkId>,
    /// Only calls in this state.
    pub status: Option<String>,
    /// Items per page, 1–100.
    pub limit: Option<u32>,
    /// Items to pass over.
    pub offset: Option<u32>,
    /// The `next_cursor` of the page before, instead of `offset`.
    pub cursor: Option<String>,
}

#[derive(Deserialize)]
struct CallList {
    calls: Vec<Call>,
    pagination: Pagination,
}

impl Client {
    /// One page of the account's calls, newest first.
    pub async fn list_calls(&self, query: &CallsQuery) -> Result<ListPage<Call>, Error> {
        let path = Query::new("/v1/calls")
            .add("trunk_id", query.trunk_id)
            .add("status", query.status.as_deref())
            .add("limit", query.limit)
            .add("offset", query.offset)
            .add("cursor", query.cursor.as_deref())
            .finish();
        let list: CallList = self.get(&path).await?;
        Ok(ListPage { items: list.calls, pagination: list.pagination })
    }

    /// One call with its figures, turns and SIP trace.
    pub async fn get_call(&self, id: CallId) -> Result<CallDetails, Error> {
        self.get(&format!("/v1/calls/{id}")).await
    }

    /// Asks a live call to end.
    pub async fn hang_up(&self, id: CallId) -> Result<(), Error> {
        self.post_without_result(&format!("/v1/calls/{id}/hangup")).await
    }
}
