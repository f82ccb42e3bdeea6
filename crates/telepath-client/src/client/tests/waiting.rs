//! How long is waited, under a clock that jumps to the next deadline.

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
async fn an_attempt_ends_after_thirty_seconds_and_the_next_may_succeed() {
    let (server, client) = Server::memory([Step::Silence, Step::ok()]);
    let (took, result) = timed(&client).await;
    result.unwrap();
    assert_eq!((took.as_millis(), server.requests().len()), (30_500, 2));
}

#[tokio::test(start_paused = true)]
async fn a_whole_call_ends_after_its_attempts_and_within_its_bound() {
    let (server, client) = Server::memory(vec![Step::Silence; 4]);
    let (took, result) = timed(&client).await;
    assert!(matches!(result, Err(Error::TimedOut { limit: TIME_LIMIT, .. })), "{result:?}");
    assert_eq!((took.as_millis(), server.requests().len()), (4 * 30_000 + 500 + 1000 + 2000, 4));
    let (_server, client) = Server::memory(vec![Step::Silence; 4]);
    let hurried = RetryPolicy { whole: Duration::from_secs(45), ..RetryPolicy::STANDARD };
    let (took, result) = timed(&client.with_retry(hurried)).await;
    assert!(result.is_err());
    assert_eq!(took, Duration::from_secs(45), "the second attempt gets what is left");
}

#[tokio::test(start_paused = true)]
async fn a_full_window_is_waited_for_until_its_reset() {
    let until = format!("x-ratelimit-reset: {}\r\n", NOW.unix_seconds() + 40);
    let (server, client) = Server::memory([Step::status(LIMITED_STATUS, &until), Step::ok()]);
    let (took, result) = timed(&at(client, NOW)).await;
    result.unwrap();
    assert_eq!((took.as_secs(), server.requests().len()), (41, 2), "and a second behind it at most");
}

#[tokio::test(start_paused = true)]
async fn a_window_too_far_away_and_a_caller_who_does_not_wait_get_the_error_with_its_reset() {
    let reset = NOW.plus(Duration::from_mins(10));
    let headers = format!("x-ratelimit-reset: {}\r\n", reset.unix_seconds());
    let impatient = RetryPolicy { rate_limit_wait: None, ..RetryPolicy::STANDARD };
    for policy in [RetryPolicy::STANDARD, impatient] {
        let (_server, client) = Server::memory([Step::status(LIMITED_STATUS, &headers)]);
        let (took, result) = timed(&at(client, NOW).with_retry(policy)).await;
        let Err(Error::Api(error)) = result else { panic!("{result:?}") };
        assert_eq!((took, error.rate_limit_reset), (Duration::ZERO, Some(reset)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_is_repeated_after_429_even_without_an_idempotency_key() {
    let limited = Step::status(LIMITED_STATUS, "retry-after: 5\r\n");
    let (server, client) = Server::memory([limited, Step::ok()]);
    let client = client.without_idempotency_keys();
    client.post_empty::<Value>("/v1/things").await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn connections_that_were_idle_for_long_are_not_used_again() {
    let (server, client) = Server::memory([Step::ok(), Step::ok(), Step::ok()]);
    timed(&client).await.1.unwrap();
    tokio::time::advance(Duration::from_secs(14)).await;
    timed(&client).await.1.unwrap();
    assert_eq!(server.connections(), 1);
    tokio::time::advance(Duration::from_secs(16)).await;
    timed(&client).await.1.unwrap();
    assert_eq!(server.connections(), 2);
}
