//! `GET /v1/stream`: requests, calls, alerts and deliveries as server-sent events (HTML standard, section 9.2).

mod parser;

use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Incoming;

use crate::client::{Client, within};
use crate::error::Error;
use crate::request::{ApiRequest, Query};
use parser::Parser;
pub use parser::StreamEvent;

/// An open stream. Dropping it closes the connection.
pub struct EventStream {
    client: Client,
    body: Incoming,
    parser: Parser,
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").field("client", &self.client).finish_non_exhaustive()
    }
}

impl EventStream {
    /// The next event; `None` when the server has ended the stream, as it does after an hour.
    ///
    /// # Errors
    /// [`Error::Http`] when the stream was aborted, for example because the key lost a right, or [`Error::TimedOut`] when the
    /// server sends nothing for the time limit of one attempt; it sends something every 15 seconds.
    pub async fn next(&mut self) -> Result<Option<StreamEvent>, Error> {
        loop {
            if let Some(event) = self.parser.next_event() {
                return Ok(Some(event));
            }
            let (client, body) = (&self.client, &mut self.body);
            let frame = async { body.frame().await.transpose().map_err(|error| client.broke(error.into())) };
            let Some(frame) = within(client.time_limit(), &client.peer(), frame).await? else {
                return Ok(None);
            };
            if let Ok(bytes) = frame.into_data()
                && !self.parser.push(&bytes)
            {
                return Err(Error::TooLarge { limit: parser::MAX_EVENT });
            }
        }
    }

    /// Where to continue with another stream, as [`Client::stream`] takes it.
    pub fn last_event_id(&self) -> Option<&str> {
        self.parser.last_id()
    }
}

impl Client {
    /// Follows `requests`, `calls`, `alerts` and `deliveries`; without kinds, all that the key may read. With the last id of an earlier
    /// stream, it continues there.
    pub async fn stream(&self, kinds: &[String], last_event_id: Option<&str>) -> Result<EventStream, Error> {
        let path = kinds.iter().fold(Query::new("/v1/stream"), |path, kind| path.add("kind", Some(kind)));
        let request = ApiRequest::new(Method::GET, &path.finish()).accept("text/event-stream");
        let request = request.continuing_after(last_event_id);
        let response = self.send_streaming(&request).await?;
        Ok(EventStream { client: self.clone(), body: response.into_body(), parser: Parser::default() })
    }
}
