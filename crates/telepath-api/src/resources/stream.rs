//! `/v1/stream`: requests, calls, alerts and deliveries of the account as server-sent events (HTML standard, section 9.2).

mod position;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use serde_json::json;
use telepath_api_types::alerts::Alert;
use telepath_api_types::enums;
use telepath_api_types::requests::LoggedRequest;
use telepath_core::clock::Timestamp;
use telepath_core::error::ErrorCode;
use telepath_core::reach::Reach;
use telepath_core::request::RequestFilter;
use telepath_core::stream::StreamKind;
use telepath_store::{RequestOrder, Store, StoreError};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::auth::authorization::{Authorization, guarded};
use crate::auth::caller::{AnyKey, AuthorizedWithin, Caller};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::resources::deliveries::delivery_body;
use crate::state::streams::{MAX_STREAMS_OF_KEY, TooManyStreams};
use crate::state::{AppState, Shared};
use position::Position;

/// The header of a client that continues a stream.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How often new activity is read.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Something is sent at least this often, so that a broken connection is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A stream ends after this time, and the client opens another.
const MAX_AGE: Duration = Duration::from_hours(1);
/// What is older than this is not sent to a reader that fell behind; it is told so.
const MAX_BEHIND: Duration = Duration::from_mins(10);
/// The most items of each kind in one read.
const BATCH: u32 = 100;
/// Batches that wait to be sent. Reading waits for them, so a slow client makes no queue grow.
const WAITING: usize = 2;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![stream_activity => [InsufficientScope, LimitReached]]
}

struct StreamQuery(Vec<StreamKind>);

impl QueryForm for StreamQuery {
    fn read(query: &mut QueryReader) -> Self {
        let names = StreamKind::ALL.iter().map(|kind| kind.name());
        Self(query.choices("kind", StreamKind::from_name, names))
    }
}

/// Follow requests, calls, alerts and deliveries
///
/// Server-sent events. `request` has a request as in the request log, `alert` an alert, `delivery` a delivery after an attempt, and
/// events of calls have their own name and body, such as `call.started`, as webhooks receive them; they appear about a second later,
/// with several servers after two seconds. Each kind needs its scope: `requests` needs `audit:read`, `calls` needs `calls:read`,
/// `alerts` needs `usage:read`, `deliveries` needs `webhooks:read`. Without `kind`, the stream has every kind that the key may read.
///
/// A client that sends the last `id` in `Last-Event-ID` continues there; an item can be sent twice. A reader that is more than ten
/// minutes behind gets `gap` with `since` and `until`, and continues at the present. The stream ends after an hour, and within
/// a second when the key loses a right that the stream needs. A key has at most 4 open streams on a server.
#[utoipa::path(get, path = "/v1/stream", tag = "Operation", operation_id = "stream",
    params(
        ("kind" = inline(Option<enums::StreamKind>), Query, description = "`requests`, `calls`, `alerts` or `deliveries`; can be repeated.")),
    responses((status = 200, description = "The stream.", content((String = "text/event-stream"))),
        (status = 409, description = "`LIMIT_REACHED`: the key has 4 open streams.")))]
async fn stream_activity(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<AnyKey>,
    StrictQuery(StreamQuery(kinds)): StrictQuery<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let kinds = readable_kinds(&caller, kinds)?;
    let position = start_position(&headers, caller.at)?;
    let slot = state.stream_slots.try_open(caller.origin().actor).map_err(|full| match full {
        TooManyStreams::OfKey => {
            let message = format!("Limit of {MAX_STREAMS_OF_KEY} open streams reached");
            ApiError::new(ErrorCode::LimitReached, message)
        }
        TooManyStreams::OfServer => ApiError::unavailable("the most streams that may be open are open"),
    })?;
    let held: Vec<_> = kinds.iter().map(|kind| caller.authorization(kind.read_scope())).collect();
    let (sender, receiver) = mpsc::channel(WAITING);
    let (shared, reach, own) = (Arc::clone(&state), caller.reach(), held.clone());
    let client = sender.clone();
    tokio::spawn(async move {
        let follower = Follower { shared: &shared, reach, kinds, position, sender };
        tokio::select! {
            // A client that has gone, or does not read, must not keep its place.
            () = client.closed() => {}
            () = any_ended(&own, &shared.store) => {}
            followed = tokio::time::timeout(MAX_AGE, follower.run()) => match followed {
                // If the queue is full, the client does not read, and its stream may as well look aborted.
                Ok(Ok(())) | Err(_) => drop(client.try_send(StreamPart::End)),
                Ok(Err(error)) => tracing::warn!(%error, "a stream was aborted: its activity could not be read"),
            },
        }
        drop(slot);
    });
    let head = [
        (CONTENT_TYPE, "text/event-stream"),
        // Proxies that buffer responses would hold the stream back.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let batches = stream::unfold(Some(receiver), next_batch);
    let store = Arc::clone(&state.store);
    let holds = move || held.iter().all(|authorization| authorization.holds(&store));
    Ok((head, guarded(batches, holds)).into_response())
}

/// What the task gives to the response's body.
enum StreamPart {
    Batch(Bytes),
    /// The stream ends by itself. One that ends without it was aborted.
    End,
}

type Parts = Option<mpsc::Receiver<StreamPart>>;

async fn next_batch(parts: Parts) -> Option<(io::Result<Bytes>, Parts)> {
    let mut parts = parts?;
    match parts.recv().await {
        Some(StreamPart::Batch(batch)) => Some((Ok(batch), Some(parts))),
        Some(StreamPart::End) => None,
        None => Some((Err(io::Error::other("the stream was aborted")), None)),
    }
}

/// The kinds that were asked for, each of which the caller may read; or every kind that it may read.
fn readable_kinds(caller: &Caller, asked: Vec<StreamKind>) -> Result<Vec<StreamKind>, ApiError> {
    let check = |kind: &StreamKind| caller.require_scope(kind.read_scope(), !kind.concerns_trunks());
    if !asked.is_empty() {
        asked.iter().try_for_each(check)?;
        return Ok(asked);
    }
    let readable: Vec<_> = StreamKind::ALL.iter().filter(|kind| check(kind).is_ok()).copied().collect();
    if readable.is_empty() {
        check(&StreamKind::Calls)?;
    }
    Ok(readable)
}

fn start_position(headers: &HeaderMap, now: Timestamp) -> Result<Position, ApiError> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(Position::at(now)) };
    let position = value.to_str().ok().and_then(Position::parse);
    position.ok_or_else(|| ApiError::invalid("Last-Event-ID", "must be the last id of an earlier stream"))
}

/// Waits until one of the authorizations has ended.
async fn any_ended(held: &[Authorization], store: &Store) {
    let ended = held.iter().map(|authorization| Box::pin(authorization.ended(store)));
    futures_util::future::select_all(ended).await;
}

/// The task behind a stream.
struct Follower<'s> {
    shared: &'s Shared,
    reach: Reach,
    kinds: Vec<StreamKind>,
    position: Position,
    sender: mpsc::Sender<StreamPart>,
}

impl Follower<'_> {
    async fn run(mut self) -> Result<(), StoreError> {
        let mut text = String::from("retry: 2000\n\n");
        let mut sent = Instant::now();
        self.close_batch(&mut text);
        loop {
            if !text.is_empty() {
                let batch = StreamPart::Batch(Bytes::from(std::mem::take(&mut text)));
                if self.sender.send(batch).await.is_err() {
                    // The client has gone.
                    return Ok(());
                }
                sent = Instant::now();
            }
            if !self.shared.readiness.is_ready() {
                return Ok(());
            }
            self.skip_gap(&mut text);
            let is_full = self.read(&mut text).await?;
            if !text.is_empty() || sent.elapsed() >= HEARTBEAT {
                self.close_batch(&mut text);
            }
            if !is_full {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
    }

    /// Where a client continues that has read everything up to here. An event without data only sets the id.
    fn close_batch(&self, text: &mut String) {
        append(text, &format!("id: {}", self.position), "");
    }

    /// Continues at the present if the reader is too far behind, and says what it missed.
    fn skip_gap(&mut self, text: &mut String) {
        let now = self.shared.store.clock().now();
        let since = self.position.complete_until;
        if now.since(since) <= MAX_BEHIND {
            return;
        }
        self.position = Position::at(now);
        let kinds: Vec<_> = self.kinds.iter().map(|kind| kind.name()).collect();
        let gap = json!({ "since": since, "until": now, "kinds": kinds });
        append(text, "event: gap", &gap.to_string());
    }

    /// Reads what is new; returns whether there may be more.
    async fn read(&mut self, text: &mut String) -> Result<bool, StoreError> {
        let settled = self.shared.store.settled_until();
        let mut is_full = false;
        for kind in self.kinds.clone() {
            let read = match kind {
                StreamKind::Requests => self.read_requests(text).await?,
                StreamKind::Calls => self.read_calls(text).await?,
                StreamKind::Alerts => self.read_alerts(text).await?,
                StreamKind::Deliveries => self.read_deliveries(text).await?,
            };
            is_full |= read >= BATCH as usize;
        }
        if !is_full {
            self.position.complete_until = settled.max(self.position.complete_until);
        }
        Ok(is_full)
    }

    async fn read_requests(&mut self, text: &mut String) -> Result<usize, StoreError> {
        let filter = RequestFilter { start: Some(self.position.since), ..RequestFilter::default() };
        let (account, after) = (self.reach.account, self.position.requests);
        let page = self
            .shared
            .store
            .list_requests(account, &filter, RequestOrder::Oldest, BATCH as usize, after)
            .await?;
        self.position.requests = page.next.or(after);
        let read = page.requests.len();
        for request in page.requests {
            append_json(text, "request", &LoggedRequest::from(request));
        }
        Ok(read)
    }

    async fn read_calls(&mut self, text: &mut String) -> Result<usize, StoreError> {
        let after = self.position.events;
        let events = self.shared.store.call_events_after(self.reach.clone(), after, BATCH).await?;
        for event in &events {
            self.position.events = event.id;
            append(text, &format!("event: {}", event.kind), &event.payload);
        }
        Ok(events.len())
    }

    async fn read_alerts(&mut self, text: &mut String) -> Result<usize, StoreError> {
        let after = self.position.alerts;
        let alerts = self.shared.store.alerts_after(self.reach.account, after, BATCH).await?;
        let read = alerts.len();
        for alert in alerts {
            self.position.alerts = alert.id;
            append_json(text, "alert", &Alert::from(alert));
        }
        Ok(read)
    }

    async fn read_deliveries(&mut self, text: &mut String) -> Result<usize, StoreError> {
        let (reach, after) = (self.reach.clone(), self.position.deliveries);
        let deliveries = self.shared.store.attempted_deliveries_after(reach, after, BATCH).await?;
        for (place, delivery) in &deliveries {
            self.position.deliveries = *place;
            append_json(text, "delivery", &delivery_body(delivery));
        }
        Ok(deliveries.len())
    }
}

/// Nothing in a body can fail to be written as JSON.
fn append_json(text: &mut String, name: &str, body: &impl Serialize) {
    if let Ok(data) = serde_json::to_string(body) {
        append(text, &format!("event: {name}"), &data);
    }
}

/// Appends one event. JSON has no line breaks outside of strings, and none inside them.
fn append(text: &mut String, head: &str, data: &str) {
    text.push_str(head);
    if !data.is_empty() {
        text.push_str("\ndata: ");
        text.push_str(data);
    }
    text.push_str("\n\n");
}
