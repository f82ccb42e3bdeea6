//! When a request is sent again: a decision without clock, randomness or sockets. The shell tells what came of an attempt
//! and what time it is, and hands in the jitter; the answer is a length of time to wait, or to give up.

use std::time::Duration;

use telepath_core::clock::Timestamp;

/// How far the callers that wait for the same window are spread behind its start.
const SPREAD_BEHIND_RESET: Duration = Duration::from_secs(1);

/// How often and how long a client tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Requests sent for one call at most, the first included.
    pub attempts: u32,
    /// The longest pause before the second attempt; it doubles with each further one.
    pub first_pause: Duration,
    /// What the doubling ends at.
    pub longest_pause: Duration,
    /// The longest wait for a new window after `429`; `None` gives the error back at once.
    pub rate_limit_wait: Option<Duration>,
    /// The longest that one call may take with all its attempts and pauses.
    pub whole: Duration,
}

impl RetryPolicy {
    /// Sends every request once.
    pub const NEVER: Self = Self { attempts: 1, rate_limit_wait: None, ..Self::STANDARD };

    /// Four attempts with pauses of at most half a second, one and two seconds; windows are waited for.
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

/// Whether a request may be carried out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Twice is the same as once: the method is idempotent (RFC 9110 section 9.2.2), or an `Idempotency-Key` makes it so.
    Harmless,
    /// Only when the first was certainly not carried out.
    Harmful,
}

/// What came of one attempt, as far as the decision needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There was no connection, so nothing was sent.
    NotSent,
    /// No answer came; whether the request was carried out is not known.
    Unknown,
    /// Refused before it was carried out: the window is used up.
    RateLimited {
        /// The header `Retry-After`.
        retry_after: Option<Duration>,
        /// The header `X-RateLimit-Reset`.
        reset: Option<Timestamp>,
    },
    /// The server is in trouble, or an earlier attempt with the same `Idempotency-Key` is still running.
    Trouble {
        /// The header `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// Trying again changes nothing.
    Final,
}

/// What to do after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Send the request again after this time.
    Wait(Duration),
    /// The outcome is the answer.
    GiveUp,
}

/// An attempt that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// 1 for the first.
    pub(crate) number: u32,
    /// Since the first attempt began.
    pub(crate) elapsed: Duration,
    /// The wall clock.
    pub(crate) now: Timestamp,
}

/// What becomes of a call after an attempt. `jitter` lies between 0 and 1 and is drawn anew for each decision.
pub(crate) fn decide(
    policy: &RetryPolicy,
    repeat: Repeat,
    attempt: Attempt,
    outcome: Outcome,
    jitter: f64,
) -> Decision {
    let jitter = jitter.clamp(0.0, 1.0);
    let pause = match (outcome, repeat) {
        (Outcome::Final, _) | (Outcome::Unknown | Outcome::Trouble { .. }, Repeat::Harmful) => None,
        (Outcome::NotSent, _) | (Outcome::Unknown, Repeat::Harmless) => {
            Some(backoff(policy, attempt.number, jitter))
        }
        (Outcome::Trouble { retry_after }, Repeat::Harmless) => {
            Some(backoff(policy, attempt.number, jitter).max(retry_after.unwrap_or_default()))
        }
        (Outcome::RateLimited { retry_after, reset }, _) => {
            window_wait(policy, retry_after.or_else(|| Some(reset?.since(attempt.now))), jitter)
        }
    };
    match pause {
        Some(pause) if attempt.number < policy.attempts && attempt.elapsed + pause < policy.whole => {
            Decision::Wait(pause)
        }
        Some(_) | None => Decision::GiveUp,
    }
}

/// Exponential, with full jitter: anywhere between nothing and the doubled pause, so that clients that failed in the same
/// moment do not come back in the same moment.
fn backoff(policy: &RetryPolicy, attempt: u32, jitter: f64) -> Duration {
    let doubled = policy.first_pause.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
    doubled.min(policy.longest_pause).mul_f64(jitter)
}

/// `Retry-After` counts from now and so does not depend on this machine's clock; without it the reset is all there is.
fn window_wait(policy: &RetryPolicy, opens_in: Option<Duration>, jitter: f64) -> Option<Duration> {
    let longest = policy.rate_limit_wait?;
    let opens_in = opens_in.unwrap_or(policy.longest_pause);
    (opens_in <= longest).then(|| opens_in + SPREAD_BEHIND_RESET.mul_f64(jitter))
}

#[cfg(test)]
mod tests;
