//! `/v1/keys/{id}/usage`: what a key was used for, by minute, hour or day; and `/v1/usage`, the requests of many keys.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use telepath_core::clock::Timestamp;
use telepath_core::id::{KeyId, SecretId};
#[cfg(feature = "openapi")]
use telepath_core::usage::DURATION_BOUNDS_US;
use telepath_core::usage::{DurationHistogram, SeenAddress, SeenProgram};

#[cfg(feature = "openapi")]
use crate::enums;

/// The use of a key in a range of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyUsage {
    /// The key's id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "key_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub key_id: KeyId,
    /// The secret whose usage this is; null for all secrets of the key.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "sec_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub secret_id: Option<SecretId>,
    /// `minute`, `hour` or `day`.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::UsageInterval, example = "hour"))]
    pub interval: String,
    /// The beginning of the first bucket.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub start_date: Timestamp,
    /// The end of the range.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub end_date: Timestamp,
    /// Requests in the range, refused ones included.
    pub request_count: u64,
    /// Requests in the range whose response was 4xx or 5xx.
    pub error_count: u64,
    /// The durations of all requests in the range.
    #[serde(default)]
    pub durations: Durations,
    /// The upper bounds of `durations.counts` in microseconds, always the same. The last count is beyond the last bound.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(example = json!(DURATION_BOUNDS_US)))]
    pub duration_bounds_us: Vec<u64>,
    /// All buckets in order, empty ones included.
    pub buckets: Vec<KeyUsageBucket>,
    /// Addresses that used the key, or the secret, most recent first. The 256 most recent of each secret are kept,
    /// independent of the range.
    pub addresses: Vec<KeyUsageAddress>,
    /// Programs that used the key, or the secret, most recent first. The 64 most recent of each secret are kept, independent
    /// of the range.
    #[serde(default)]
    pub programs: Vec<KeyUsageProgram>,
}

/// How long requests took. Counts of the same bounds can be added.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Durations {
    /// The duration in microseconds that half of the requests did not exceed, estimated from the counts; null without
    /// requests.
    #[cfg_attr(feature = "openapi", schema(example = 1750))]
    pub p50_us: Option<u64>,
    /// The 95th percentile in microseconds.
    #[cfg_attr(feature = "openapi", schema(example = 2400))]
    pub p95_us: Option<u64>,
    /// The 99th percentile in microseconds.
    #[cfg_attr(feature = "openapi", schema(example = 4800))]
    pub p99_us: Option<u64>,
    /// Requests up to each bound of `duration_bounds_us` and above the one before, and requests beyond the last.
    pub counts: Vec<u64>,
}

impl From<&DurationHistogram> for Durations {
    fn from(histogram: &DurationHistogram) -> Self {
        Self {
            p50_us: histogram.percentile(50),
            p95_us: histogram.percentile(95),
            p99_us: histogram.percentile(99),
            counts: histogram.counts().to_vec(),
        }
    }
}

/// The requests of one minute, hour or day (UTC).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyUsageBucket {
    /// When it starts.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub start: Timestamp,
    /// Requests in it.
    pub requests: u64,
    /// Those whose response was 4xx or 5xx.
    pub errors: u64,
    /// Requests by status class. Those that exceeded a limit are counted as `429` and not in `4xx`.
    #[cfg_attr(feature = "openapi", schema(example = json!({"2xx": 41, "429": 3, "4xx": 1})))]
    pub statuses: BTreeMap<String, u64>,
    /// The durations of its requests.
    #[serde(default)]
    pub durations: Durations,
    /// Requests by route.
    pub routes: Vec<KeyUsageRoute>,
}

/// The requests of a bucket with one route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyUsageRoute {
    /// Method and path of the route; `unmatched` when no route matched.
    #[cfg_attr(feature = "openapi", schema(example = "GET /v1/trunks/{id}"))]
    pub route: String,
    /// Number of requests.
    pub requests: u64,
    /// Those whose response was 4xx or 5xx.
    pub errors: u64,
    /// Mean duration in microseconds.
    pub mean_duration_us: u64,
    /// The durations of its requests.
    #[serde(default)]
    pub durations: Durations,
}

/// An address from which a key was used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyUsageAddress {
    /// The address.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "203.0.113.7"))]
    pub address: IpAddr,
    /// When it was first seen.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub first_seen: Timestamp,
    /// When it was last seen.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub last_seen: Timestamp,
    /// Number of requests.
    pub requests: u64,
}

impl From<SeenAddress> for KeyUsageAddress {
    fn from(seen: SeenAddress) -> Self {
        let SeenAddress { what: address, first_seen, last_seen, requests } = seen;
        Self { address, first_seen, last_seen, requests }
    }
}

/// A program that used a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyUsageProgram {
    /// The header `User-Agent`, at most 128 bytes; `…` when it could hold a key.
    #[cfg_attr(feature = "openapi", schema(example = "my-app/1.4"))]
    pub user_agent: String,
    /// When it was first seen.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub first_seen: Timestamp,
    /// When it was last seen.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub last_seen: Timestamp,
    /// Number of requests.
    pub requests: u64,
}

impl From<SeenProgram> for KeyUsageProgram {
    fn from(seen: SeenProgram) -> Self {
        let SeenProgram { what: user_agent, first_seen, last_seen, requests } = seen;
        Self { user_agent, first_seen, last_seen, requests }
    }
}

/// The requests of several keys in a range of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageList {
    /// `minute`, `hour` or `day`.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::UsageInterval, example = "hour"))]
    pub interval: String,
    /// The beginning of the first bucket.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub start_date: Timestamp,
    /// The end of the range.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub end_date: Timestamp,
    /// One item for each key, in the order of the request.
    pub usage: Vec<UsageOfKey>,
}

/// The requests of one of several keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageOfKey {
    /// The key's id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "key_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub key_id: KeyId,
    /// Requests in the range, refused ones included.
    pub request_count: u64,
    /// Requests in the range whose response was 4xx or 5xx.
    pub error_count: u64,
    /// All buckets in order, empty ones included.
    pub buckets: Vec<UsageBucket>,
}

/// The requests of one of several keys in one minute, hour or day (UTC).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageBucket {
    /// When it starts.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub start: Timestamp,
    /// Requests in it.
    pub requests: u64,
    /// Those whose response was 4xx or 5xx.
    pub errors: u64,
    /// Requests by status class. Those that exceeded a limit are counted as `429` and not in `4xx`.
    #[cfg_attr(feature = "openapi", schema(example = json!({"2xx": 41, "429": 3, "4xx": 1})))]
    pub statuses: BTreeMap<String, u64>,
}
