//! Pages that follow what happens: server-sent events (HTML standard, section 9.2) for a page that is open.
//!
//! A page names the stream where its content belongs: `<div hx-sse:connect="/requests/live" hx-sse:close="ended"
//! hx-swap="innerHTML" hx-nonce="{{ shell.head.nonce }}">`, and its handler answers [`crate::reply::Reply::live`] with a
//! [`Feed`]. Events without a name replace the content; the others are DOM events of the element, for the script of the page.
//! What is swapped in must hold no `hx-` attributes, because it carries no nonce.
//!
//! A stream ends within a second when its session ends or loses the right to the page, after an hour, when its reader has gone,
//! and when the server stops. It never waits for a slow reader with more than it can hold: what is new is read only when the
//! reader has taken what came before.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use telepath_core::id::{AccountId, SessionId};
use telepath_core::scope::Scope;
use telepath_core::user::{SessionStatus, UserToken};
use telepath_store::Store;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::problem::Problem;

/// How often the session of a stream is looked up.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Something is sent at least this often, so that a broken connection is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A stream ends after this time, and the page opens another.
const MAX_AGE: Duration = Duration::from_hours(1);
/// The most open streams of the server.
const MAX_STREAMS: usize = 200;
/// The most open streams of one session.
const MAX_STREAMS_OF_SESSION: usize = 4;
/// How long a page waits that finds every place taken.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Batches that wait to be sent.
const WAITING: usize = 2;
/// The event that tells a page that its session has ended. A page does not open a stream again after it.
const ENDED: &str = "event: ended\ndata: signed out\n\n";

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    name: Option<&'static str>,
    id: Option<String>,
    data: String,
}

impl Event {
    /// HTML that replaces what stands in the element.
    pub(crate) const fn html(html: String) -> Self {
        Self { name: None, id: None, data: html }
    }

    /// An event that the script of a page handles.
    pub(crate) const fn named(name: &'static str, data: String) -> Self {
        Self { name: Some(name), id: None, data }
    }

    /// The same with the place where a page continues that lost its connection. See [`crate::visit::Visit::last_event_id`].
    pub(crate) fn at(self, id: String) -> Self {
        Self { id: Some(id), ..self }
    }

    /// Each line of the data is a field of its own; a carriage return would end one.
    fn append_to(&self, text: &mut String) {
        for (field, value) in [("event", self.name), ("id", self.id.as_deref())] {
            if let Some(value) = value {
                text.push_str(field);
                text.push_str(": ");
                text.push_str(value);
                text.push('\n');
            }
        }
        for line in self.data.replace("\r\n", "\n").split(['\n', '\r']) {
            text.push_str("data: ");
            text.push_str(line);
            text.push('\n');
        }
        text.push('\n');
    }
}

/// What a page follows.
pub(crate) trait Feed: Send + 'static {
    /// How long to wait between two reads.
    const INTERVAL: Duration;

    /// What is new since the last read. The first read gives what a page needs that has just been opened.
    fn read(&mut self) -> impl Future<Output = Result<Vec<Event>, Problem>> + Send;
}

pub(crate) type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A feed that has not been opened yet.
pub(crate) struct Live(Box<dyn FnOnce(mpsc::Sender<Bytes>) -> Running + Send>);

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Live")
    }
}

impl Live {
    pub(crate) fn new(feed: impl Feed) -> Self {
        Self(Box::new(|sender| Box::pin(follow(feed, sender))))
    }
}

/// Sends what a feed reads, until its reader has gone or it cannot be read.
async fn follow<F: Feed>(mut feed: F, sender: mpsc::Sender<Bytes>) {
    let (mut text, mut sent) = (String::from("retry: 2000\n\n"), Instant::now());
    loop {
        match feed.read().await {
            Ok(events) => events.iter().for_each(|event| event.append_to(&mut text)),
            Err(problem) => {
                tracing::warn!(cause = problem.cause(), "a stream of a page was ended: it could not be read");
                return;
            }
        }
        if text.is_empty() && sent.elapsed() >= HEARTBEAT {
            text.push_str(":\n\n");
        }
        if !text.is_empty() {
            if sender.send(Bytes::from(std::mem::take(&mut text))).await.is_err() {
                return;
            }
            sent = Instant::now();
        }
        tokio::time::sleep(F::INTERVAL).await;
    }
}

async fn until_old(running: Running) {
    drop(tokio::time::timeout(MAX_AGE, running).await);
}

/// Whose stream it is, and what it needs.
pub(crate) struct Viewer {
    pub(crate) store: Arc<Store>,
    pub(crate) token: UserToken,
    pub(crate) session: SessionId,
    pub(crate) account: AccountId,
    /// What the role must allow.
    pub(crate) scope: Option<Scope>,
}

impl Viewer {
    /// Waits until the session has ended, works on another account, or has lost the scope.
    async fn until_ended(&self) {
        while self.may_see().await {
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    }

    /// A session that cannot be looked up may see nothing.
    async fn may_see(&self) -> bool {
        let Ok(Some(found)) = self.store.find_session(&self.token).await else { return false };
        found.session.status(self.store.clock().now()) == SessionStatus::Active
            && found.session.account == self.account
            && self.scope.is_none_or(|scope| found.role.scopes().allows(scope))
    }
}

/// The open streams and downloads of the server.
#[derive(Debug, Clone)]
pub(crate) struct LiveStreams {
    /// The session of each.
    open: Arc<Mutex<Vec<SessionId>>>,
    stopped: watch::Sender<bool>,
}

impl Default for LiveStreams {
    fn default() -> Self {
        Self { open: Arc::default(), stopped: watch::Sender::new(false) }
    }
}

impl LiveStreams {
    /// Ends every stream, and opens none any more.
    pub(crate) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Opens a stream. Its batches end when it does.
    pub(crate) fn open(&self, live: Live, viewer: Viewer) -> Result<mpsc::Receiver<Bytes>, Problem> {
        let ended = Bytes::from_static(ENDED.as_bytes());
        self.start(viewer, Some(ended), |sender| Box::pin(until_old((live.0)(sender))))
    }

    /// Starts to send something that ends with the session and the right of its viewer, at the latest. `last` is sent then.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        viewer: Viewer,
        last: Option<T>,
        run: impl FnOnce(mpsc::Sender<T>) -> Running + Send + 'static,
    ) -> Result<mpsc::Receiver<T>, Problem> {
        let place = self.take(viewer.session).ok_or(Problem::Wait(RETRY_AFTER))?;
        let mut stopped = self.stopped.subscribe();
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let client = sender.clone();
            tokio::select! {
                // A page that was left must not keep its place.
                () = client.closed() => {}
                () = viewer.until_ended() => drop(last.map(|last| client.try_send(last))),
                // An error means that the server is gone.
                _ = stopped.wait_for(|stopped| *stopped) => {}
                () = run(sender) => {}
            }
            drop(place);
        });
        Ok(receiver)
    }

    /// How many are open.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn take(&self, session: SessionId) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.iter().filter(|other| **other == session).count();
        let is_free = open.len() < MAX_STREAMS && own < MAX_STREAMS_OF_SESSION && !*self.stopped.borrow();
        is_free.then(|| {
            open.push(session);
            Place { streams: self.clone(), session }
        })
    }
}

/// The place of an open stream. Dropping it frees it.
struct Place {
    streams: LiveStreams,
    session: SessionId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = open.iter().position(|session| *session == self.session) {
            open.swap_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use telepath_core::id::Id as _;

    use super::*;

    fn written(event: &Event) -> String {
        let mut text = String::new();
        event.append_to(&mut text);
        text
    }

    #[test]
    fn an_event_is_written_as_the_standard_says() {
        let event = Event::html("<p>one</p>\n<p>two</p>\r\n<p>three</p>\r<p>four</p>".to_owned());
        let lines = "data: <p>one</p>\ndata: <p>two</p>\ndata: <p>three</p>\ndata: <p>four</p>\n\n";
        assert_eq!(written(&event), lines);
        let event = Event::named("row", "x".to_owned()).at("17".to_owned());
        assert_eq!(written(&event), "event: row\nid: 17\ndata: x\n\n");
    }

    #[test]
    fn a_session_has_few_streams_and_the_server_a_bounded_number() {
        let streams = LiveStreams::default();
        let session = |number: u8| SessionId::from_bytes([number; 16]);
        let mut own: Vec<_> =
            (0..MAX_STREAMS_OF_SESSION).map(|_| streams.take(session(0)).unwrap()).collect();
        assert!(streams.take(session(0)).is_none());
        own.pop();
        own.push(streams.take(session(0)).unwrap());
        let others: Vec<_> = (1..=255).map_while(|number| streams.take(session(number))).collect();
        assert_eq!(own.len() + others.len(), MAX_STREAMS);
        drop((own, others));
        assert!(streams.open.lock().unwrap().is_empty());
        streams.stop();
        assert!(streams.take(session(1)).is_none(), "a server that stops opens none");
    }

    struct Silent;

    impl Feed for Silent {
        const INTERVAL: Duration = Duration::from_millis(500);

        async fn read(&mut self) -> Result<Vec<Event>, Problem> {
            Ok(Vec::new())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_sends_a_comment_so_that_proxies_keep_it() {
        let (sender, mut receiver) = mpsc::channel(WAITING);
        let task = tokio::spawn(follow(Silent, sender));
        assert_eq!(receiver.recv().await.unwrap(), "retry: 2000\n\n");
        let before = Instant::now();
        assert_eq!(receiver.recv().await.unwrap(), ":\n\n");
        assert_eq!(before.elapsed(), HEARTBEAT);
        drop(receiver);
        task.await.unwrap();
    }

    struct Counting(u64);

    impl Feed for Counting {
        const INTERVAL: Duration = Duration::from_millis(1);

        async fn read(&mut self) -> Result<Vec<Event>, Problem> {
            self.0 += 1;
            if self.0 == 10 {
                return Err(Problem::Unavailable("the database is gone".to_owned()));
            }
            Ok(vec![Event::html(self.0.to_string())])
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_is_read_no_faster_than_it_is_taken_and_ends_when_it_fails() {
        let (sender, mut receiver) = mpsc::channel(WAITING);
        let task = tokio::spawn(follow(Counting(0), sender));
        for _ in 0..100 {
            tokio::time::advance(Counting::INTERVAL).await;
        }
        assert_eq!(receiver.len(), WAITING, "what waits is bounded");
        let mut last = Bytes::new();
        while let Some(batch) = receiver.recv().await {
            last = batch;
        }
        assert_eq!(last, "data: 9\n\n");
        task.await.unwrap();
    }
}
