//! When a request is retried: a decision without clock, randomness or sockets. The caller passes in the failure, the time
//! and the jitter; the result is how long to wait, or to give up.

use std::time::Duration;

use telepath_core::clock::Timestamp;

/// Clients that wait for the same window retry within this time after its start.
const SPREAD_BEHIND_RESET: Duration = Duration::from_secs(1);

/// How often and how long a client retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The most requests sent for one call, the first included.
    pub attempts: u32,
    /// The longest pause before the second attempt; it doubles with each further one.
    pub first_pause: Duration,
    /// The upper bound of the doubled pause.
    pub longest_pause: Duration,
    /// The longest wait for a new window after `429`; `None` returns the error at once.
    pub rate_limit_wait: Option<Duration>,
    /// The time limit of one call with all its attempts and pauses.
    pub whole: Duration,
}

impl RetryPolicy {
    /// Sends every request once.
    pub const NEVER: Self = Self { attempts: 1, rate_limit_wait: None, ..Self::STANDARD };

    /// Four attempts with pauses of at most half a second, one and two seconds; waits up to 65 seconds for a new window.
    pub const STANDARD: Self = Self {
        attempts: 4,
        first_pause: Duration::from_millis(500),
        longest_pause: Duration::from_secs(8),
        rate_limit_wait: Some(Duration::from_secs(65)),
        whole: Duration::from_mins(3),
    };
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::STANDARD
    }
}

/// Whether carrying out a request twice does the same as once (RFC 9110 section 9.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idempotence {
    /// By its method, or because of its `Idempotency-Key`.
    Idempotent,
    /// It is repeated only when it was certainly not carried out.
    NotIdempotent,
}

/// Why an attempt failed, as far as the decision needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There was no connection, so nothing was sent.
    NotSent,
    /// No response arrived; whether the request was carried out is unknown.
    Unknown,
    /// The rate window is used up; the request was not carried out.
    RateLimited {
        /// The header `Retry-After`.
        retry_after: Option<Duration>,
        /// The header `X-RateLimit-Reset`.
        reset: Option<Timestamp>,
    },
    /// The server cannot respond now, or an earlier attempt with the same `Idempotency-Key` is still running.
    Unavailable {
        /// The header `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// A retry would fail the same way.
    Final,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryDecision {
    /// Send the request again after this time.
    RetryAfter(Duration),
    GiveUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FailedAttempt {
    /// 1 for the first.
    pub(crate) number: u32,
    /// Since the first attempt began.
    pub(crate) elapsed: Duration,
    /// The wall clock.
    pub(crate) now: Timestamp,
}

/// What to do after a failed attempt. `jitter` lies between 0 and 1 and is drawn for each decision.
pub(crate) fn decide(
    policy: &RetryPolicy,
    idempotence: Idempotence,
    attempt: FailedAttempt,
    failure: Failure,
    jitter: f64,
) -> RetryDecision {
    let jitter = jitter.clamp(0.0, 1.0);
    let pause = match (failure, idempotence) {
        (Failure::Final, _)
        | (Failure::Unknown | Failure::Unavailable { .. }, Idempotence::NotIdempotent) => None,
        (Failure::NotSent, _) | (Failure::Unknown, Idempotence::Idempotent) => {
            Some(backoff(policy, attempt.number, jitter))
        }
        (Failure::Unavailable { retry_after }, Idempotence::Idempotent) => {
            Some(backoff(policy, attempt.number, jitter).max(retry_after.unwrap_or_default()))
        }
        (Failure::RateLimited { retry_after, reset }, _) => {
            window_wait(policy, retry_after.or_else(|| Some(reset?.since(attempt.now))), jitter)
        }
    };
    match pause {
        Some(pause) if attempt.number < policy.attempts && attempt.elapsed + pause < policy.whole => {
            RetryDecision::RetryAfter(pause)
        }
        Some(_) | None => RetryDecision::GiveUp,
    }
}

/// Exponential backoff with full jitter: anywhere between zero and the doubled pause, so that clients that failed together
/// do not retry together.
fn backoff(policy: &RetryPolicy, attempt: u32, jitter: f64) -> Duration {
    let doubled = policy.first_pause.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
    doubled.min(policy.longest_pause).mul_f64(jitter)
}

/// `Retry-After` counts from now and so does not depend on this machine's clock; without it the reset time is used.
fn window_wait(policy: &RetryPolicy, opens_in: Option<Duration>, jitter: f64) -> Option<Duration> {
    let longest = policy.rate_limit_wait?;
    let opens_in = opens_in.unwrap_or(policy.longest_pause);
    (opens_in <= longest).then(|| opens_in + SPREAD_BEHIND_RESET.mul_f64(jitter))
}

#[cfg(test)]
mod tests;
