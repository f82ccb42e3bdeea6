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
use telepath_core::export::ExportFormat;
use telepath_core::request::RequestFilter;
use telepath_core::scope::Scope;
use telepath_store::{RequestCursor, RequestExport, RequestOrder, Store, StoreError};
use tokio::sync::mpsc;

use crate::auth::authorization::guarded;
use crate::auth::caller::Caller;
use crate::error::ApiError;
use crate::state::Shared;

/// Chunks that wait to be sent.
const WAITING: usize = 2;
/// The time limit of an export.
const WITHIN: Duration = Duration::from_mins(10);

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Export(ExportFormat),
}

impl Format {
    pub(super) const ALL: &'static [Format] =
        &[Format::Json, Format::Export(ExportFormat::Ndjson), Format::Export(ExportFormat::Csv)];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Export(format) => format.name(),
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.name() == name)
    }

    /// The first form that the client names, JSON when it names none.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let named = |media: &str| {
            let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            match media.as_str() {
                "application/json" => Some(Format::Json),
                "application/x-ndjson" | "application/jsonl" => Some(Format::Export(ExportFormat::Ndjson)),
                "text/csv" => Some(Format::Export(ExportFormat::Csv)),
                _ => None,
            }
        };
        accept.split(',').find_map(named).unwrap_or(Format::Json)
    }
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
    (filter, order, cursor): (RequestFilter, RequestOrder, Option<RequestCursor>),
    format: ExportFormat,
) -> Result<Response, ApiError> {
    let slot = shared.export_slots.try_acquire(caller.account);
    let slot =
        slot.ok_or_else(|| ApiError::unavailable("the most exports that may run at once are running"))?;
    let (account, authorization) = (caller.account, caller.authorization(Scope::AuditRead));
    let (store, held) = (Arc::clone(&shared.store), authorization.clone());
    let what = RequestExport::new(account, filter, order, cursor, format);
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let exported = tokio::time::timeout(WITHIN, export(&store, what, sender));
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
    mut export: RequestExport,
    sender: mpsc::Sender<ExportChunk>,
) -> Result<(), StoreError> {
    while let Some(lines) = export.next(store).await? {
        if !lines.is_empty() && sender.send(ExportChunk::Lines(Bytes::from(lines))).await.is_err() {
            // The client has gone.
            return Ok(());
        }
    }
    // One that has gone does not want to know.
    let _ = sender.send(ExportChunk::End).await;
    Ok(())
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
        assert_eq!(
            accepted("text/html, text/CSV;q=0.9, application/json"),
            Format::Export(ExportFormat::Csv)
        );
        assert_eq!(accepted("application/x-ndjson"), Format::Export(ExportFormat::Ndjson));
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
