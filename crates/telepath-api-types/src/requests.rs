//! `/v1/requests`: the request log.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use telepath_core::clock::Timestamp;
use telepath_core::id::{KeyId, RequestId, SecretId, UserId};
use telepath_core::request::RequestRecord;

#[cfg(feature = "openapi")]
use crate::enums;

/// A request in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoggedRequest {
    /// The id, as in the header `X-Request-Id`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "req_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub id: RequestId,
    /// When it arrived.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub time: Timestamp,
    /// The key that sent it; null when a user sent it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "key_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub key_id: Option<KeyId>,
    /// The secret of the key that was used; null when a user sent it, and when the key has the secret no longer on record.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "sec_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub secret_id: Option<SecretId>,
    /// The user who sent it; null when a key sent it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "user_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub user_id: Option<UserId>,
    /// The method; `other` for methods that HTTP does not define.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::RequestMethod, example = "GET"))]
    pub method: String,
    /// The path of its route; null when no route matched.
    #[cfg_attr(feature = "openapi", schema(example = "/v1/trunks/{id}"))]
    pub route: Option<String>,
    /// Its path, at most 256 bytes, without the query string; `…` when it could hold a key.
    #[cfg_attr(feature = "openapi", schema(example = "/v1/trunks/conn_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub path: String,
    /// The status of the response.
    #[cfg_attr(feature = "openapi", schema(example = 200))]
    pub status: u16,
    /// The error code of the response.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::ErrorCode>))]
    pub error_code: Option<String>,
    /// The caller's address.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "203.0.113.7"))]
    pub address: Option<IpAddr>,
    /// The header `User-Agent`, at most 128 bytes; `…` when it could hold a key.
    pub user_agent: Option<String>,
    /// From the head of the request to the response, in microseconds.
    pub duration_us: u64,
}

/// A page of requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RequestList {
    /// The newest first by default.
    pub requests: Vec<LoggedRequest>,
    pub pagination: RequestPagination,
}

/// The position of a page in the request log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RequestPagination {
    /// Requests per page.
    #[cfg_attr(feature = "openapi", schema(example = 20))]
    pub limit: u32,
    /// Pass this as `cursor` to continue. It may be set although the page is not full, because one response searches a
    /// bounded part of the log. With `sort=time` it is always set, so that a reader can follow the log.
    pub next_cursor: Option<String>,
}

impl From<RequestRecord> for LoggedRequest {
    fn from(request: RequestRecord) -> Self {
        let facts = request.facts;
        Self {
            id: request.id,
            time: facts.at,
            key_id: facts.caller.key(),
            secret_id: request.secret_id,
            user_id: facts.caller.user(),
            method: facts.method.name().to_owned(),
            route: request.route,
            path: request.path,
            status: facts.status,
            error_code: request.error,
            address: Some(facts.address),
            user_agent: request.user_agent,
            duration_us: facts.duration_us,
        }
    }
}
