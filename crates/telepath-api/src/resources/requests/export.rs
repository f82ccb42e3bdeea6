//! Exports of the request log. A task reads a bounded part at a time and waits until the client has received it. An export to a
//! client that is too slow is aborted in a way that the client notices.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use telepath_api_types::requests::LoggedRequest;
use telepath_core::id::AccountId;
use telepath_core::request::RequestFilter;
use telepath_core::scope::Scope;
use telepath_store::{RequestCursor, RequestOrder, Store, StoreError};
use tokio::sync::mpsc;

use crate::auth::authorization::guarded;
use crate::auth::caller::Caller;
use crate::csv::{self, append_line};
use crate::error::ApiError;
use crate::state::Shared;

/// Requests in one chunk.
const CHUNK: usize = 1000;
/// Chunks that wait to be sent.
const WAITING: usize = 2;
/// The time limit of an export.
const WITHIN: Duration = Duration::from_mins(10);

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Ndjson,
    Csv,
}

impl Format {
    pub(super) const ALL: &'static [Format] = &[Format::Json, Format::Ndjson, Format::Csv];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Ndjson => "ndjson",
            Format::Csv => "csv",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.name() == name)
    }

    const fn media_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Ndjson => "application/x-ndjson",
            Format::Csv => csv::MEDIA_TYPE,
        }
    }

    /// The first form that the client names, JSON when it names none.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let named = |media: &str| {
            let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            match media.as_str() {
                "application/json" => Some(Format::Json),
                "application/x-ndjson" | "application/jsonl" => Some(Format::Ndjson),
                "text/csv" => Some(Format::Csv),
                _ => None,
            }
        };
        accept.split(',').find_map(named).unwrap_or(Format::Json)
    }

    fn head(self) -> &'static str {
        match self {
            Format::Json | Format::Ndjson => "",
            Format::Csv => {
                "id,time,key_id,method,route,path,status,error_code,address,user_agent,duration_us,user_id,secret_id\r\n"
            }
        }
    }

    fn append(self, text: &mut Vec<u8>, request: &LoggedRequest) {
        match self {
            // Nothing in a request can fail to be written as JSON.
            Format::Json | Format::Ndjson => {
                if serde_json::to_writer(&mut *text, request).is_ok() {
                    text.push(b'\n');
                }
            }
            Format::Csv => append_csv(text, request),
        }
    }
}

fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn append_csv(text: &mut Vec<u8>, request: &LoggedRequest) {
    let cells: [&str; 13] = [
        &request.id.to_string(),
        &request.time.to_string(),
        &optional(request.key_id),
        &request.method,
        request.route.as_deref().unwrap_or_default(),
        &request.path,
        &request.status.to_string(),
        request.error_code.as_deref().unwrap_or_default(),
        &optional(request.address),
        request.user_agent.as_deref().unwrap_or_default(),
        &request.duration_us.to_string(),
        &optional(request.user_id),
        &optional(request.secret_id),
    ];
    append_line(text, cells);
}

/// What a task gives to the answer's body.
enum ExportChunk {
    Lines(Bytes),
    /// All was given. An export that ends without it was broken off.
    End,
}

/// Starts an export.
pub(super) fn start(
    shared: &Shared,
    caller: &Caller,
    what: (RequestFilter, RequestOrder, Option<RequestCursor>),
    format: Format,
) -> Result<Response, ApiError> {
    let slot = shared.export_slots.try_acquire(caller.account);
    let slot =
        slot.ok_or_else(|| ApiError::unavailable("the most exports that may run at once are running"))?;
    let (account, authorization) = (caller.account, caller.authorization(Scope::AuditRead));
    let (store, held) = (Arc::clone(&shared.store), authorization.clone());
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let exported = tokio::time::timeout(WITHIN, export(&store, account, what, format, sender));
        tokio::select! {
            // A client that does not read must not keep the slot.
            () = held.ended(&store) => {
                tracing::info!("an export was aborted: its authorization has ended");
            }
            exported = exported => match exported {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "an export was aborted"),
                Err(_elapsed) => {
                    tracing::warn!("an export was aborted: the client did not read it in {WITHIN:?}");
                }
            },
        }
        drop(slot);
    });
    let name = format!("attachment; filename=\"requests.{}\"", format.name());
    let head = [(CONTENT_TYPE, format.media_type().to_owned()), (CONTENT_DISPOSITION, name)];
    let store = Arc::clone(&shared.store);
    let chunks = stream::unfold(Some(receiver), next_chunk);
    Ok((head, guarded(chunks, move || authorization.holds(&store))).into_response())
}

type Chunks = Option<mpsc::Receiver<ExportChunk>>;

async fn next_chunk(chunks: Chunks) -> Option<(io::Result<Bytes>, Chunks)> {
    let mut chunks = chunks?;
    match chunks.recv().await {
        Some(ExportChunk::Lines(lines)) => Some((Ok(lines), Some(chunks))),
        Some(ExportChunk::End) => None,
        None => Some((Err(io::Error::other("the export was aborted")), None)),
    }
}

async fn export(
    store: &Store,
    account: AccountId,
    (filter, order, mut cursor): (RequestFilter, RequestOrder, Option<RequestCursor>),
    format: Format,
    sender: mpsc::Sender<ExportChunk>,
) -> Result<(), StoreError> {
    let mut lines = format.head().as_bytes().to_vec();
    loop {
        let page = store.list_requests(account, &filter, order, CHUNK, cursor).await?;
        let came_to_end = page.next.is_none() || (page.requests.is_empty() && page.next == cursor);
        for request in page.requests {
            format.append(&mut lines, &LoggedRequest::from(request));
        }
        if !lines.is_empty()
            && sender.send(ExportChunk::Lines(Bytes::from(std::mem::take(&mut lines)))).await.is_err()
        {
            // The client has gone.
            return Ok(());
        }
        if came_to_end {
            // One that has gone does not want to know.
            let _ = sender.send(ExportChunk::End).await;
            return Ok(());
        }
        cursor = page.next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_is_known_is_taken() {
        let accepted = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, text.parse().unwrap());
            Format::accepted(&headers)
        };
        assert_eq!(accepted("text/html, text/CSV;q=0.9, application/json"), Format::Csv);
        assert_eq!(accepted("application/x-ndjson"), Format::Ndjson);
        assert_eq!(accepted("application/json, text/csv"), Format::Json);
        assert_eq!(accepted("*/*"), Format::Json);
        assert_eq!(Format::accepted(&HeaderMap::new()), Format::Json);
    }

    #[tokio::test]
    async fn an_export_that_is_broken_off_does_not_look_whole() {
        let (sender, receiver) = mpsc::channel(WAITING);
        sender.send(ExportChunk::Lines(Bytes::from_static(b"x"))).await.unwrap();
        drop(sender);
        let (first, chunks) = next_chunk(Some(receiver)).await.unwrap();
        assert_eq!(first.unwrap(), "x");
        let (broken, chunks) = next_chunk(chunks).await.unwrap();
        assert!(broken.is_err());
        assert!(next_chunk(chunks).await.is_none());
    }
}
