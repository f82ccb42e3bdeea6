//! The authorization of a response that is sent for longer than the moment of its admission. Such a response ends when its
//! key is revoked, paused, expires, or loses the secret, the scope, a trunk or the address that the request was admitted with. Each server
//! decides from its own table of keys, which has every answered change.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use telepath_core::reach::TrunkAccess;
use telepath_core::scope::Scope;
use telepath_core::secret::HashedKey;
use telepath_store::{KeyHandle, Store};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often an authorization is checked while nothing is sent. A response ends within a second.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// The largest part that is sent without another check, in bytes.
const MAX_PART: usize = 16 * 1024;

/// What a response was admitted with.
#[derive(Clone)]
pub(crate) enum Authorization {
    /// A key must still be usable as it was.
    Key { handle: KeyHandle, secret: HashedKey, address: IpAddr, scope: Scope, trunks: TrunkAccess },
    /// Local administration keeps its authorization.
    Local,
    /// Nothing that could be checked.
    None,
}

impl Authorization {
    /// Whether the response may still be sent.
    pub(crate) fn holds(&self, store: &Store) -> bool {
        match self {
            Authorization::Key { handle, secret, address, scope, trunks } => store
                .current_rights(handle, secret, *address)
                .is_some_and(|(scopes, now)| scopes.allows(*scope) && now.encloses(trunks)),
            Authorization::Local => true,
            Authorization::None => false,
        }
    }

    /// Waits until the response may no longer be sent.
    pub(crate) async fn ended(&self, store: &Store) {
        let mut ticks = ticks();
        while self.holds(store) {
            ticks.tick().await;
        }
    }
}

fn ticks() -> Interval {
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// A response body in progress.
struct GuardedBody<S, H> {
    stream: Pin<Box<S>>,
    /// Taken from the stream and not sent yet.
    rest: Bytes,
    ticks: Interval,
    holds: H,
}

/// A body that is sent only while `holds` returns true. One that is ended early is aborted, so that it does not look whole.
pub(crate) fn guarded<S, H>(stream: S, holds: H) -> Body
where
    S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    H: Fn() -> bool + Send + 'static,
{
    let body = GuardedBody { stream: Box::pin(stream), rest: Bytes::new(), ticks: ticks(), holds };
    Body::from_stream(stream::unfold(Some(body), next_part))
}

type Part<S, H> = (io::Result<Bytes>, Option<GuardedBody<S, H>>);

async fn next_part<S, H>(body: Option<GuardedBody<S, H>>) -> Option<Part<S, H>>
where
    S: Stream<Item = io::Result<Bytes>>,
    H: Fn() -> bool,
{
    let mut body = body?;
    loop {
        // Also before what has waited for the client.
        if !(body.holds)() {
            return Some((Err(io::Error::other("the authorization of the response has ended")), None));
        }
        if !body.rest.is_empty() {
            let part = body.rest.split_to(body.rest.len().min(MAX_PART));
            return Some((Ok(part), Some(body)));
        }
        tokio::select! {
            biased;
            next = body.stream.next() => match next {
                Some(Ok(bytes)) => body.rest = bytes,
                Some(Err(error)) => return Some((Err(error), None)),
                None => return None,
            },
            _ = body.ticks.tick() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use http_body_util::BodyExt as _;

    use super::*;

    fn flag() -> (Arc<AtomicBool>, impl Fn() -> bool + Send + 'static) {
        let flag = Arc::new(AtomicBool::new(true));
        let read = Arc::clone(&flag);
        (flag, move || read.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn a_body_whose_authorization_holds_is_sent_whole_in_small_parts() {
        let (_flag, holds) = flag();
        let bytes = Bytes::from(vec![7; 3 * MAX_PART + 1]);
        let mut body = guarded(stream::iter([Ok(bytes.clone()), Ok(Bytes::from_static(b"end"))]), holds);
        let mut sent = Vec::new();
        while let Some(frame) = body.frame().await {
            let part = frame.unwrap().into_data().unwrap();
            assert!(part.len() <= MAX_PART);
            sent.extend_from_slice(&part);
        }
        assert_eq!(sent, [bytes.as_ref(), b"end"].concat());
    }

    #[tokio::test]
    async fn what_waits_for_the_client_is_not_sent_after_the_authorization_has_ended() {
        let (flag, holds) = flag();
        let bytes = Bytes::from(vec![7; 3 * MAX_PART]);
        let mut body = guarded(stream::iter([Ok(bytes)]), holds);
        body.frame().await.unwrap().unwrap();
        flag.store(false, Ordering::SeqCst);
        assert!(body.frame().await.unwrap().is_err());
        assert!(body.frame().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_has_nothing_to_send_ends_within_a_second() {
        let (flag, holds) = flag();
        let mut body = guarded(stream::pending(), holds);
        let waited = tokio::time::timeout(Duration::from_mins(10), body.frame()).await;
        assert!(waited.is_err(), "it stays open while the authorization holds");
        flag.store(false, Ordering::SeqCst);
        let ended = tokio::time::timeout(Duration::from_secs(1), body.frame()).await.unwrap();
        assert!(ended.unwrap().is_err());
    }
}
