//! `/v1/keys/{id}/usage`: what a key was used for, by minute, hour or day; and `/v1/usage`, the requests of many keys.

mod many_keys;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use telepath_api_types::enums;
use telepath_api_types::key_usage::{
    KeyUsage, KeyUsageAddress, KeyUsageBucket, KeyUsageProgram, KeyUsageRoute,
};
use telepath_core::clock::Timestamp;
use telepath_core::id::{KeyId, SecretId};
use telepath_core::usage::{BucketSum, DURATION_BOUNDS_US, UsageRow, UsageSpan};

use crate::auth::caller::{AuthorizedWithin, UsageRead};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::path::{PathId, Resource as _};
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::extract::range::BucketRange;
use crate::state::AppState;
use telepath_core::date::DayEdge;

/// The most buckets of one answer: all minutes of a day and an hour, or more hours or days than are drawn.
const MAX_BUCKETS: u32 = 1500;

pub(super) fn endpoints() -> Endpoints {
    endpoints![key_usage => [SecretNotFound]].merge(many_keys::endpoints())
}

/// Which usage is shown.
struct UsageQuery {
    secret: Option<SecretId>,
    interval: Option<UsageSpan>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

impl QueryForm for UsageQuery {
    fn read(query: &mut QueryReader) -> Self {
        let names = UsageSpan::ALL.iter().map(|span| span.name());
        Self {
            secret: query.take("secret_id", str::parse),
            interval: query.choice("interval", UsageSpan::from_name, names),
            start: query.date("start_date", DayEdge::First),
            end: query.date("end_date", DayEdge::Last),
        }
    }
}

/// Get the usage of a key
///
/// With `secret_id`, the usage of one secret: after a rotation, its programs and addresses show who still uses the old one.
#[utoipa::path(get, path = "/v1/keys/{id}/usage", tag = "Keys", operation_id = "getKeyUsage",
    params(
        ("id" = String, Path, description = "The key's id."),
        ("secret_id" = Option<String>, Query, description = "Only requests with this secret of the key."),
        ("interval" = inline(Option<enums::UsageInterval>), Query, description = "`minute` (kept for 48 hours), `hour` (90 days, the default) or `day` (two years)."),
        ("start_date" = Option<String>, Query, description = "From the bucket that contains this time: a date or an RFC 3339 date-time. When left out, an hour of minutes, a day of hours or 30 days before the end."),
        ("end_date" = Option<String>, Query, description = "Up to this time; a date includes its whole day (UTC). Default: now.")),
    responses((status = 200, description = "The key's usage.", body = KeyUsage)))]
async fn key_usage(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<UsageRead>,
    PathId(id): PathId<KeyId>,
    StrictQuery(query): StrictQuery<UsageQuery>,
) -> Result<Json<KeyUsage>, ApiError> {
    let span = query.interval.unwrap_or(UsageSpan::Hour);
    let range = BucketRange::of(span, query.start, query.end, caller.at, MAX_BUCKETS)?;
    let not_found = || KeyId::not_found(&id.to_string());
    state.store.find_key(caller.reach(), id).await?.ok_or_else(not_found)?;
    let secret = query.secret;
    let usage = state.store.key_usage(caller.account, id, secret, span, range.start, range.after()).await?;
    // The key exists, so it is the secret that does not.
    let usage =
        usage.ok_or_else(|| secret.map_or_else(not_found, |id| SecretId::not_found(&id.to_string())))?;
    Ok(Json(body_of(id, secret, range, usage)))
}

fn body_of(
    key_id: KeyId,
    secret_id: Option<SecretId>,
    range: BucketRange,
    usage: telepath_store::KeyUsage,
) -> KeyUsage {
    let rows = usage.rows.as_slice();
    let all = added_up(rows);
    let buckets: Vec<_> =
        range.split(rows, |row| row.start).map(|(start, rows)| bucket_of(start, rows)).collect();
    KeyUsage {
        key_id,
        secret_id,
        interval: range.span.name().to_owned(),
        start_date: range.start,
        end_date: range.end,
        request_count: buckets.iter().map(|bucket| bucket.requests).sum(),
        error_count: buckets.iter().map(|bucket| bucket.errors).sum(),
        durations: (&all.durations).into(),
        duration_bounds_us: DURATION_BOUNDS_US.to_vec(),
        buckets,
        addresses: usage.addresses.into_iter().map(KeyUsageAddress::from).collect(),
        programs: usage.programs.into_iter().map(KeyUsageProgram::from).collect(),
    }
}

/// `rows` are in the order of their routes.
fn bucket_of(start: Timestamp, rows: &[UsageRow]) -> KeyUsageBucket {
    let mut statuses = BTreeMap::new();
    for row in rows {
        *statuses.entry(status_class(row.status)).or_insert(0) += row.sum.requests;
    }
    let routes = rows.chunk_by(|one, other| one.route == other.route).map(|rows| {
        let all = added_up(rows);
        KeyUsageRoute {
            route: rows.first().map(|row| row.route.clone()).unwrap_or_default(),
            requests: all.requests,
            errors: errors_of(rows),
            mean_duration_us: all.duration_us / all.requests.max(1),
            durations: (&all.durations).into(),
        }
    });
    let (routes, all) = (routes.collect(), added_up(rows));
    KeyUsageBucket {
        start,
        requests: all.requests,
        errors: errors_of(rows),
        statuses,
        durations: (&all.durations).into(),
        routes,
    }
}

/// A client that is over its limit is no client that sends wrong requests.
fn status_class(status: u16) -> String {
    if status == 429 { "429".to_owned() } else { format!("{}xx", status / 100) }
}

fn added_up(rows: &[UsageRow]) -> BucketSum {
    let mut all = BucketSum::default();
    for row in rows {
        all.add(&row.sum);
    }
    all
}

fn errors_of(rows: &[UsageRow]) -> u64 {
    rows.iter().filter(|row| row.status >= 400).map(|row| row.sum.requests).sum()
}
