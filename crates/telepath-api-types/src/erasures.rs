//! `/v1/calls/erase`: a number that is erased from the records of calls.

use serde::{Deserialize, Serialize};
use telepath_core::id::CallId;

/// A request to erase a number.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EraseNumber {
    /// The number in international form.
    #[cfg_attr(feature = "openapi", schema(required, value_type = String, example = "+15550100123"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// `next_cursor` of an earlier response, to continue there.
    #[cfg_attr(feature = "openapi", schema(example = "call_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// What was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NumberErased {
    /// Calls from or to the number, whose records are gone.
    #[cfg_attr(feature = "openapi", schema(example = 3))]
    pub erased_calls: u64,
    /// Other calls that named the number in SIP messages or headers; those were removed.
    #[cfg_attr(feature = "openapi", schema(example = 1))]
    pub cleared_calls: u64,
    /// Live calls with the number, which stay; erase again when they have ended.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub live_calls: u64,
    /// Not all calls were looked at; send this as `cursor` to continue. Null at the end.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub next_cursor: Option<CallId>,
}
