//! Why connecting to an agent failed. The texts go into the call record. They contain neither the URL nor a header, because
//! both may contain secrets.

use std::fmt;
use std::io;
use std::time::Duration;

use telepath_egress::EgressError;

/// Why connecting to an agent failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("the agent's URL is not valid")]
    Url,
    #[error("the agent could not be reached: {0}")]
    Egress(#[from] EgressError),
    #[error("could not configure the TCP connection to the agent: {0}")]
    Tcp(io::Error),
    #[error("the TLS handshake with the agent failed: {0}")]
    Tls(String),
    #[error("a custom header of the trunk is not a valid HTTP header")]
    Header,
    #[error("the agent responded to {step} with HTTP {status}{}", meaning(*status))]
    Http { step: Step, status: u16 },
    #[error("the provider gave no signed URL of the agent: {0}")]
    SignedUrl(String),
    #[error("the agent does not support the subprotocol {0}")]
    Subprotocol(&'static str),
    #[error("the WebSocket handshake with the agent failed: {0}")]
    Handshake(String),
    #[error("connecting to the agent took longer than {} s", .0.as_secs_f32())]
    Timeout(Duration),
}

/// What an agent or its provider was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    SignedUrl,
    Handshake,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SignedUrl => "the request for a signed URL",
            Self::Handshake => "the WebSocket handshake",
        })
    }
}

/// What users should know about a status that refuses a connection.
const fn meaning(status: u16) -> &'static str {
    match status {
        401 | 403 => ": it does not accept the credentials",
        402 => ": the account must be paid for",
        404 => ": it has no such agent, model or path",
        429 => ": a rate limit or quota is exhausted",
        500..=599 => ": it has a problem of its own",
        _ => "",
    }
}
