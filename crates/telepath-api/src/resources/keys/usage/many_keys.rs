//! `/v1/usage`: the requests of many keys by minute, hour or day.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use telepath_api_types::enums;
use telepath_api_types::key_usage::{UsageBucket, UsageList, UsageOfKey};
use telepath_core::clock::Timestamp;
use telepath_core::id::KeyId;
use telepath_core::usage::UsageSpan;
use telepath_store::KeyRequests;

use super::status_class;
use crate::auth::caller::{AuthorizedWithin, UsageRead};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::path::Resource as _;
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::extract::range::BucketRange;
use crate::state::AppState;
use telepath_core::date::DayEdge;

/// The most keys of one response: a page of the list of keys.
const MAX_KEYS: usize = 100;
/// The most buckets of one key; with the number of keys, it bounds the response.
const MAX_BUCKETS: u32 = 200;

pub(super) fn endpoints() -> Endpoints {
    endpoints![usage_of_keys => [MissingRequired, KeyNotFound]]
}

struct UsageListQuery {
    keys: Vec<KeyId>,
    interval: Option<UsageSpan>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

impl QueryForm for UsageListQuery {
    fn read(query: &mut QueryReader) -> Self {
        let names = UsageSpan::ALL.iter().map(|span| span.name());
        Self {
            keys: query.required_ids("key_id", MAX_KEYS),
            interval: query.choice("interval", UsageSpan::from_name, names),
            start: query.date("start_date", DayEdge::First),
            end: query.date("end_date", DayEdge::Last),
        }
    }
}

/// Get the usage of several keys
///
/// The requests of up to 100 keys by time and status class, for example to draw a chart beside each key of a list. The usage of
/// one key has more: routes, durations, addresses and programs.
#[utoipa::path(get, path = "/v1/usage", tag = "Keys", operation_id = "listUsage",
    params(
        ("key_id" = Vec<String>, Query, description = "The keys; repeat the parameter for each, up to 100 times."),
        ("interval" = inline(Option<enums::UsageInterval>), Query, description = "`minute` (kept for 48 hours), `hour` (90 days, the default) or `day` (two years)."),
        ("start_date" = Option<String>, Query, description = "From the bucket that contains this time, at most 200 buckets before the end: a date or an RFC 3339 date-time. When left out, an hour of minutes, a day of hours or 30 days before the end."),
        ("end_date" = Option<String>, Query, description = "Up to this time; a date includes its whole day (UTC). Default: now.")),
    responses((status = 200, description = "The usage of each key.", body = UsageList)))]
async fn usage_of_keys(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<UsageRead>,
    StrictQuery(query): StrictQuery<UsageListQuery>,
) -> Result<Json<UsageList>, ApiError> {
    let span = query.interval.unwrap_or(UsageSpan::Hour);
    let range = BucketRange::of(span, query.start, query.end, caller.at, MAX_BUCKETS)?;
    let usage =
        state.store.usage_of_keys(caller.reach(), &query.keys, span, range.start, range.after()).await?;
    let of_key = |id: &KeyId| {
        let rows = usage.get(id).ok_or_else(|| KeyId::not_found(&id.to_string()))?;
        Ok(usage_of_key(*id, range, rows))
    };
    Ok(Json(UsageList {
        interval: span.name().to_owned(),
        start_date: range.start,
        end_date: range.end,
        usage: query.keys.iter().map(of_key).collect::<Result<_, ApiError>>()?,
    }))
}

fn usage_of_key(key_id: KeyId, range: BucketRange, rows: &[KeyRequests]) -> UsageOfKey {
    let buckets: Vec<_> =
        range.split(rows, |row| row.start).map(|(start, rows)| bucket_of(start, rows)).collect();
    UsageOfKey {
        key_id,
        request_count: buckets.iter().map(|bucket| bucket.requests).sum(),
        error_count: buckets.iter().map(|bucket| bucket.errors).sum(),
        buckets,
    }
}

fn bucket_of(start: Timestamp, rows: &[KeyRequests]) -> UsageBucket {
    let mut statuses = BTreeMap::new();
    for row in rows {
        *statuses.entry(status_class(row.status)).or_insert(0) += row.requests;
    }
    UsageBucket {
        start,
        requests: rows.iter().map(|row| row.requests).sum(),
        errors: rows.iter().filter(|row| row.status >= 400).map(|row| row.requests).sum(),
        statuses,
    }
}
