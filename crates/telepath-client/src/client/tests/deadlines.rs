//! How long the client waits, with a paused clock that jumps to the next deadline.

use serde_json::Value;
use telepath_core::clock::ManualClock;

use super::server::{Server, Step};
use super::*;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const LIMITED_STATUS: &str = "429 Too Many Requests";

async fn timed(client: &Client) -> (Duration, Result<Value, Error>) {
    let begun = Instant::now();
    let result = client.get("/v1/things").await;
    (begun.elapsed(), result)
}

fn at(client: Client, now: Timestamp) -> Client {
    Client { clock: Arc::new(ManualClock::at(now)), ..client }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_times_out_after_thirty_seconds_and_is_retried() {
    let (server, client) = Server::memory([Step::NoResponse, Step::ok()]);
    let (took, result) = timed(&client).await;
    result.unwrap();
    assert_eq!((took.as_millis(), server.requests().len()), (30_500, 2));
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_with_its_last_attempt_or_its_time_limit() {
    let (server, client) = Server::memory(vec![Step::NoResponse; 4]);
    let (took, result) = timed(&client).await;
    assert!(matches!(result, Err(Error::TimedOut { limit: TIME_LIMIT, .. })), "{result:?}");
    assert_eq!((took.as_millis(), server.requests().len()), (4 * 30_000 + 500 + 1000 + 2000, 4));
    let (_server, client) = Server::memory(vec![Step::NoResponse; 4]);
    let limited = RetryPolicy { whole: Duration::from_secs(45), ..RetryPolicy::STANDARD };
    let (took, result) = timed(&client.with_retry(limited)).await;
    assert!(result.is_err());
    assert_eq!(took, Duration::from_secs(45), "the second attempt gets the remaining time");
}

#[tokio::test(start_paused = true)]
async fn a_rate_limited_request_is_retried_at_the_reset() {
    let until = format!("x-ratelimit-reset: {}\r\n", NOW.unix_seconds() + 40);
    let (server, client) = Server::memory([Step::status(LIMITED_STATUS, &until), Step::ok()]);
    let (took, result) = timed(&at(client, NOW)).await;
    result.unwrap();
    assert_eq!((took.as_secs(), server.requests().len()), (41, 2), "at most one second after the reset");
}

#[tokio::test(start_paused = true)]
async fn a_reset_beyond_the_longest_wait_is_returned_in_the_error() {
    let reset = NOW.plus(Duration::from_mins(10));
    let headers = format!("x-ratelimit-reset: {}\r\n", reset.unix_seconds());
    let no_wait = RetryPolicy { rate_limit_wait: None, ..RetryPolicy::STANDARD };
    for policy in [RetryPolicy::STANDARD, no_wait] {
        let (_server, client) = Server::memory([Step::status(LIMITED_STATUS, &headers)]);
        let (took, result) = timed(&at(client, NOW).with_retry(policy)).await;
        let Err(Error::Api(error)) = result else { panic!("{result:?}") };
        assert_eq!((took, error.rate_limit_reset), (Duration::ZERO, Some(reset)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_without_an_idempotency_key_is_retried_after_429() {
    let limited = Step::status(LIMITED_STATUS, "retry-after: 5\r\n");
    let (server, client) = Server::memory([limited, Step::ok()]);
    let client = client.without_idempotency_keys();
    client.post_empty::<Value>("/v1/things").await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn connections_idle_for_too_long_are_not_reused() {
    let (server, client) = Server::memory([Step::ok(), Step::ok(), Step::ok()]);
    timed(&client).await.1.unwrap();
    tokio::time::advance(Duration::from_secs(14)).await;
    timed(&client).await.1.unwrap();
    assert_eq!(server.connections(), 1);
    tokio::time::advance(Duration::from_secs(16)).await;
    timed(&client).await.1.unwrap();
    assert_eq!(server.connections(), 2);
}
