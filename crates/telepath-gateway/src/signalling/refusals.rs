//! Every way in which this server turns a call away, each by a name that is the same in the log, in the metric and in
//! the documentation; and the log of them, which speaks at most once in ten seconds however much noise arrives.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use telepath_sip::message::StatusCode;

/// How often a summary of refusals may be logged.
const SUMMARY: Duration = Duration::from_secs(10);
/// What Retry-After says when a bound is reached.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The rule by which an INVITE was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The server is being stopped.
    ShuttingDown,
    /// `max_calls` of the server are live.
    ServerFull,
    /// The control plane did not answer.
    ControlUnavailable,
    /// No random bytes for an id.
    NoEntropy,
    /// Credentials that cannot be read.
    MalformedCredentials,
    /// Credentials of a user that is not there; the caller sees what a wrong password gets.
    UnknownUser,
    /// Credentials that do not fit.
    WrongPassword,
    /// Credentials over a nonce that is not ours.
    ForeignNonce,
    /// Credentials that were used before.
    ReplayedCredentials,
    /// Credentials made for another Request-URI.
    UriMismatch,
    /// Too many refused digests from this address.
    AuthThrottled,
    /// The trunk was switched off by its owner.
    TrunkInactive,
    /// The trunk cannot take calls until something is put right.
    TrunkError,
    /// The dialled number is not one of the trunk's.
    NumberNotListed,
    /// `max_concurrent_calls` of the trunk are live.
    TrunkFull,
    /// The trunk's agent speaks a dialect that this version does not.
    DialectNotSupported,
    /// The offer cannot be read.
    MalformedSdp,
    /// The offer has no codec in common with the trunk.
    NoCommonCodec,
    /// Every media port is in use.
    RtpPortsUsedUp,
    /// The agent could not be reached.
    AgentUnreachable,
}

impl Rule {
    /// The name in log, metric and documentation.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ShuttingDown => "shutting_down",
            Self::ServerFull => "server_full",
            Self::ControlUnavailable => "control_unavailable",
            Self::NoEntropy => "no_entropy",
            Self::MalformedCredentials => "malformed_credentials",
            Self::UnknownUser => "unknown_user",
            Self::WrongPassword => "wrong_password",
            Self::ForeignNonce => "foreign_nonce",
            Self::ReplayedCredentials => "replayed_credentials",
            Self::UriMismatch => "uri_mismatch",
            Self::AuthThrottled => "auth_throttled",
            Self::TrunkInactive => "trunk_inactive",
            Self::TrunkError => "trunk_error",
            Self::NumberNotListed => "number_not_listed",
            Self::TrunkFull => "trunk_full",
            Self::DialectNotSupported => "dialect_not_supported",
            Self::MalformedSdp => "malformed_sdp",
            Self::NoCommonCodec => "no_common_codec",
            Self::RtpPortsUsedUp => "rtp_ports_used_up",
            Self::AgentUnreachable => "agent_unreachable",
        }
    }

    /// What the caller is answered, unless it is challenged again.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::ShuttingDown
            | Self::ServerFull
            | Self::ControlUnavailable
            | Self::NoEntropy
            | Self::RtpPortsUsedUp => StatusCode::SERVICE_UNAVAILABLE,
            Self::MalformedCredentials | Self::MalformedSdp => StatusCode::BAD_REQUEST,
            Self::UnknownUser
            | Self::WrongPassword
            | Self::ForeignNonce
            | Self::ReplayedCredentials
            | Self::UriMismatch => StatusCode::UNAUTHORIZED,
            // The owner said no: trying again is of no use.
            Self::AuthThrottled | Self::TrunkInactive => StatusCode::FORBIDDEN,
            // May be put right at any time.
            Self::TrunkError | Self::DialectNotSupported | Self::AgentUnreachable => {
                StatusCode::TEMPORARILY_UNAVAILABLE
            }
            Self::NumberNotListed => StatusCode::NOT_FOUND,
            Self::TrunkFull => StatusCode::BUSY_HERE,
            Self::NoCommonCodec => StatusCode::NOT_ACCEPTABLE_HERE,
        }
    }

    /// Whether the caller should be told when to try again.
    pub(crate) fn retry_after(self) -> Option<Duration> {
        (self.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER)
    }
}

/// Counts refusals by rule in the metric, and logs a summary now and then.
#[derive(Debug, Default)]
pub(super) struct RefusalLog {
    counts: BTreeMap<&'static str, u64>,
    spoke: Option<Instant>,
}

impl RefusalLog {
    /// `rule` is one of a closed set of names, so the map is bounded.
    pub(super) fn note(&mut self, rule: &'static str, now: Instant) {
        metrics::counter!("telepath_sip_rejected_total", "rule" => rule).increment(1);
        *self.counts.entry(rule).or_default() += 1;
        if self.spoke.is_none_or(|spoke| now.saturating_duration_since(spoke) >= SUMMARY) {
            self.spoke = Some(now);
            let summary: Vec<String> = std::mem::take(&mut self.counts)
                .into_iter()
                .map(|(rule, count)| format!("{rule}={count}"))
                .collect();
            tracing::info!(rules = summary.join(" "), "SIP messages turned away");
        }
    }
}
