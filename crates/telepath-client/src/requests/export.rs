//! The request log as a stream of bytes. The server sends as fast as the caller reads; the client buffers nothing.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Incoming;

use super::RequestsQuery;
use crate::client::{Client, within};
use crate::error::Error;
use crate::request::ApiRequest;

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// One JSON object per line.
    Ndjson,
    /// Comma-separated values with a header line (RFC 4180).
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

/// A running export. Dropping it closes the connection.
pub struct Export {
    client: Client,
    body: Incoming,
}

impl std::fmt::Debug for Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Export {
    /// The next bytes; `None` at the end. A truncated export is an error and never looks complete.
    ///
    /// # Errors
    /// [`Error::Http`], or [`Error::TimedOut`] when the server sends nothing for the time limit of one attempt.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let client = &self.client;
        let body = &mut self.body;
        loop {
            let frame = async { body.frame().await.transpose().map_err(|error| client.broke(error.into())) };
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
    /// Streams all requests that match; `limit` and `cursor` of the query are ignored. Retried like any other request until
    /// the response begins.
    pub async fn export_requests(
        &self,
        query: &RequestsQuery,
        format: ExportFormat,
    ) -> Result<Export, Error> {
        let query = RequestsQuery { limit: None, cursor: None, ..query.clone() };
        let path = query.path().add("format", Some(format.name())).finish();
        let request = ApiRequest::new(Method::GET, &path).accept(format.media_type());
        let response = self.send_streaming(&request).await?;
        Ok(Export { client: self.clone(), body: response.into_body() })
    }
}
