//! `/v1/keys/{id}/usage`: what a key was used for, by minute, hour or day.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use telepath_core::clock::Timestamp;
use telepath_core::id::KeyId;
use telepath_core::usage::SeenAddress;

#[cfg(feature = "openapi")]
use crate::enums;

/// The use of a key in a range of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyUsage {
    /// The key's id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "key_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub key_id: KeyId,
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
    /// All buckets in order, empty ones included.
    pub buckets: Vec<KeyUsageBucket>,
    /// Addresses that used the key, most recent first. The 256 most recent are kept, independent of the range.
    pub addresses: Vec<KeyUsageAddress>,
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
    /// Requests by status class.
    #[cfg_attr(feature = "openapi", schema(example = json!({"2xx": 41, "4xx": 1})))]
    pub statuses: BTreeMap<String, u64>,
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
        let SeenAddress { address, first_seen, last_seen, requests } = seen;
        Self { address, first_seen, last_seen, requests }
    }
}
