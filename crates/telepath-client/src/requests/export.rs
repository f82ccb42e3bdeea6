//! The request log as a stream of bytes. The server sends as fast as the caller reads; nothing is collected here.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Incoming;

use super::RequestsQuery;
use crate::client::within;
use crate::connection::Connection;
use crate::request::Ask;
use crate::{Client, Error};

/// How an export looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// One JSON object per line.
    Ndjson,
    /// Comma-separated values with a head (RFC 4180).
    Csv,
}

impl ExportFormat {
    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            ExportFormat::Ndjson => "ndjson",
            ExportFormat::Csv => "csv",
        }
    }

    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            ExportFormat::Ndjson => "application/x-ndjson",
            ExportFormat::Csv => "text/csv",
        }
    }
}

/// An export that is read piece by piece. Dropped, it ends.
pub struct Export {
    client: Client,
    body: Incoming,
    // The connection lives as long as its answer is read.
    _connection: Connection,
}

impl std::fmt::Debug for Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Export {
    /// The next piece; `None` at the end. An export that breaks off is an error and never looks like its end.
    ///
    /// # Errors
    /// [`Error::Http`], or [`Error::TimedOut`] when the server sends nothing for the time of one attempt.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let client = &self.client;
        let body = &mut self.body;
        loop {
            let frame = async { body.frame().await.transpose().map_err(|error| client.broke(error)) };
            let Some(frame) = within(client.time_limit(), &client.peer(), frame).await? else {
                return Ok(None);
            };
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
    }
}

impl Client {
    /// The requests that match, all of them, as a stream; `limit` and `cursor` of the query are not used. Until its
    /// first byte it is sent again like any other request.
    pub async fn export_requests(
        &self,
        query: &RequestsQuery,
        format: ExportFormat,
    ) -> Result<Export, Error> {
        let query = RequestsQuery { limit: None, cursor: None, ..query.clone() };
        let path = query.path().add("format", Some(format.name())).finish();
        let ask = Ask::new(Method::GET, &path).accept(format.media_type());
        let (answer, connection) = self.open(&ask).await?;
        Ok(Export { client: self.clone(), body: answer.into_body(), _connection: connection })
    }
}
