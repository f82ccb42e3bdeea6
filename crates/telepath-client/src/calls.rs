//! `/v1/calls`: list and show calls, hang up live ones.

use telepath_api_types::calls::{Call, CallDetails, CallList};
use telepath_api_types::erasures::{EraseNumber, NumberErased};
use telepath_api_types::sip_trace::SipTrace;
use telepath_core::clock::Timestamp;
use telepath_core::id::{CallId, TrunkId};

use crate::client::Client;
use crate::error::Error;
use crate::page::ListPage;
use crate::request::Query;

/// Which calls to list.
#[derive(Debug, Clone, Default)]
pub struct CallsQuery {
    /// Only calls of this trunk.
    pub trunk_id: Option<TrunkId>,
    /// Only calls in this state.
    pub status: Option<String>,
    /// Only calls that ended for this reason.
    pub reason: Option<String>,
    /// Only calls that started at this time or later.
    pub start_date: Option<Timestamp>,
    /// Only calls that started at this time or earlier.
    pub end_date: Option<Timestamp>,
    /// Only calls from this party.
    pub from: Option<String>,
    /// Only calls to this party.
    pub to: Option<String>,
    /// Only calls at least this long.
    pub min_duration_seconds: Option<u32>,
    /// Only calls with at least this delay of the carrier's leg.
    pub min_carrier_lag_ms: Option<u32>,
    /// Only calls with at least this AI latency.
    pub min_ai_latency_ms: Option<u32>,
    /// Only calls with at least this time inside Telepath.
    pub min_gateway_ms: Option<u32>,
    /// The order, such as `-ai_latency_ms`.
    pub sort: Option<String>,
    /// Items per page, 1–100.
    pub limit: Option<u32>,
    /// Items to skip.
    pub offset: Option<u32>,
    /// The `next_cursor` of the page before, instead of `offset`.
    pub cursor: Option<String>,
}

impl Client {
    /// One page of the account's calls, newest first unless the query says otherwise.
    pub async fn list_calls(&self, query: &CallsQuery) -> Result<ListPage<Call>, Error> {
        let path = Query::new("/v1/calls")
            .add("trunk_id", query.trunk_id)
            .add("status", query.status.as_deref())
            .add("reason", query.reason.as_deref())
            .add("start_date", query.start_date)
            .add("end_date", query.end_date)
            .add("from", query.from.as_deref())
            .add("to", query.to.as_deref())
            .add("min_duration_seconds", query.min_duration_seconds)
            .add("min_carrier_lag_ms", query.min_carrier_lag_ms)
            .add("min_ai_latency_ms", query.min_ai_latency_ms)
            .add("min_gateway_ms", query.min_gateway_ms)
            .add("sort", query.sort.as_deref())
            .add("limit", query.limit)
            .add("offset", query.offset)
            .add("cursor", query.cursor.as_deref())
            .finish();
        let list: CallList = self.get(&path).await?;
        Ok(ListPage { items: list.calls, pagination: list.pagination })
    }

    /// One call with its metrics, turns and SIP trace.
    pub async fn get_call(&self, id: CallId) -> Result<CallDetails, Error> {
        self.get(&format!("/v1/calls/{id}")).await
    }

    /// The SIP messages of a call.
    pub async fn get_sip_trace(&self, id: CallId) -> Result<SipTrace, Error> {
        self.get(&format!("/v1/calls/{id}/sip-trace")).await
    }

    /// Erases the record of a call that has ended.
    pub async fn erase_call(&self, id: CallId) -> Result<(), Error> {
        self.delete(&format!("/v1/calls/{id}")).await
    }

    /// Erases a number from the records of calls. When the response has a `next_cursor`, calls are left to look at.
    pub async fn erase_number(&self, number: &str, cursor: Option<CallId>) -> Result<NumberErased, Error> {
        let cursor = cursor.map(|cursor| cursor.to_string());
        self.post("/v1/calls/erase", &EraseNumber { number: Some(number.to_owned()), cursor }).await
    }

    /// Requests a live call to end.
    pub async fn hang_up(&self, id: CallId) -> Result<(), Error> {
        self.post_without_result(&format!("/v1/calls/{id}/hangup")).await
    }
}
