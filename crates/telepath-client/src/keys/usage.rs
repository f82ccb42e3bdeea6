//! `GET /v1/keys/{id}/usage`: how much a key is used, on which routes, with which answers and from where.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use telepath_core::clock::Timestamp;
use telepath_core::id::KeyId;

use crate::client::Client;
use crate::error::Error;
use crate::request::Query;

/// The use of a key in a span of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyUsage {
    /// Which key.
    pub key_id: KeyId,
    /// How long a bucket is: `minute`, `hour` or `day`.
    pub interval: String,
    /// From when.
    pub start_date: Timestamp,
    /// Until when.
    pub end_date: Timestamp,
    /// Requests in the span.
    pub request_count: u64,
    /// Those answered by an error.
    pub error_count: u64,
    /// The buckets, the oldest first; those without requests may be left out.
    pub buckets: Vec<UsageBucket>,
    /// From where the key was used.
    #[serde(default)]
    pub addresses: Vec<UsageAddress>,
}

/// The requests of one length of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageBucket {
    /// When it begins.
    pub start: Timestamp,
    /// How many.
    pub requests: u64,
    /// Those answered by an error.
    pub errors: u64,
    /// How many of each class of status, such as `2xx`.
    #[serde(default)]
    pub statuses: BTreeMap<String, u64>,
    /// How many on each route.
    #[serde(default)]
    pub routes: Vec<RouteUsage>,
}

/// The requests on one route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteUsage {
    /// Method and path of the route.
    pub route: String,
    /// How many.
    pub requests: u64,
    /// Those answered by an error.
    pub errors: u64,
    /// How long they took on average, in microseconds.
    #[serde(default)]
    pub mean_duration_us: f64,
}

/// An address from which a key was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageAddress {
    /// The address.
    pub address: IpAddr,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// How many requests came from it.
    pub requests: u64,
}

/// Which span to ask for; what is left out is the server's choice.
#[derive(Debug, Clone, Default)]
pub struct UsageQuery {
    /// `minute`, `hour` or `day`.
    pub interval: Option<String>,
    /// From when.
    pub start_date: Option<Timestamp>,
    /// Until when.
    pub end_date: Option<Timestamp>,
}

impl Client {
    /// How much a key is used.
    pub async fn key_usage(&self, id: KeyId, query: &UsageQuery) -> Result<KeyUsage, Error> {
        let path = Query::new(&format!("/v1/keys/{id}/usage"))
            .add("interval", query.interval.as_deref())
            .add("start_date", query.start_date)
            .add("end_date", query.end_date)
            .finish();
        self.get(&path).await
    }
}
