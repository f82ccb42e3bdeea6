//! A small SIP caller over UDP: it places a call, plays samples at a true pace, records what it hears and measures the
//! echo. Quickstart, the command line, tests and measurements use it; it stands on the same cores as the gateway.

mod line;
mod load;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use telepath_core::entropy::EntropyError;
use telepath_core::secret::SecretText;
use telepath_media::caller::EchoFigures;
use telepath_media::codec::Codec;
use telepath_sip::message::{DEFAULT_SIP_PORT, SipUri, StatusCode, Uri};
use tokio::time::Instant;

pub(crate) use line::Line;
#[cfg(test)]
pub(crate) use line::LineEvent;
pub use load::{LoadOptions, LoadReport, place_load};

/// A call to place.
#[derive(Debug, Clone)]
pub struct CallerOptions {
    /// Whom to call.
    pub target: SipUri,
    /// Where the call is sent; `None` resolves the target's host.
    pub peer: Option<SocketAddr>,
    /// The local address to call from; `None` takes the one that the system uses toward the peer.
    pub local: Option<IpAddr>,
    /// The user part of From.
    pub from: String,
    /// User name and password, for when the callee asks.
    pub credentials: Option<(String, SecretText)>,
    /// In order of preference.
    pub codecs: Vec<Codec>,
    /// What is played after the answer: 8 kHz, mono.
    pub play: Vec<i16>,
    /// How long is listened after the last sample was played.
    pub listen: Duration,
    /// How long the answer is waited for.
    pub answer_within: Duration,
    /// How long the end is waited for after hanging up.
    pub goodbye_within: Duration,
}

impl CallerOptions {
    /// A call to a `sip:` URI that plays nothing and listens for a second.
    ///
    /// # Errors
    /// [`CallerError::NotASipUri`].
    pub fn new(uri: &str) -> Result<Self, CallerError> {
        let target = match Uri::parse(uri) {
            Some(Uri::Sip(target)) if !target.is_secure() => target,
            Some(Uri::Sip(_) | Uri::Tel(_) | Uri::Other(_)) | None => return Err(CallerError::NotASipUri),
        };
        Ok(Self {
            target,
            peer: None,
            local: None,
            from: "telepath-caller".to_owned(),
            credentials: None,
            codecs: Codec::ALL.to_vec(),
            play: Vec::new(),
            listen: Duration::from_secs(1),
            answer_within: Duration::from_secs(30),
            goodbye_within: Duration::from_secs(5),
        })
    }
}

/// Who ended an answered call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// This side, after it had played and listened.
    Caller,
    /// The other side.
    Callee,
}

/// How a call went that the callee gave a final answer to.
#[derive(Debug)]
pub struct CallOutcome {
    /// 200, or the status by which the call was refused.
    pub status: StatusCode,
    /// The reason phrase of a refusal.
    pub refusal: Option<String>,
    /// From the INVITE to its final answer.
    pub answered_after: Duration,
    /// Whether the callee rang before it answered.
    pub rang: bool,
    /// Who ended it; `None` when it was never answered.
    pub ended_by: Option<EndedBy>,
    /// The codec, when it was answered.
    pub codec: Option<Codec>,
    /// What was heard: 8 kHz, mono.
    pub recording: Vec<i16>,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// RTP packets received.
    pub packets_received: u64,
    /// RTP packets that never came.
    pub packets_lost: u64,
    /// The echo of what was played.
    pub echo: EchoFigures,
}

impl CallOutcome {
    /// Whether the call was answered.
    pub fn answered(&self) -> bool {
        self.status.is_success()
    }
}

/// Why a call got no final answer.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    /// The target cannot be called over UDP.
    #[error("the target must be a sip: URI such as sip:support-01@127.0.0.1:5060")]
    NotASipUri,
    /// The target's host has no address.
    #[error("the host of the target cannot be resolved")]
    Unresolved,
    /// The credentials or the name of the caller cannot stand in a URI.
    #[error("the caller's name cannot stand in a SIP URI")]
    BadName,
    /// A socket could not be opened or used.
    #[error("a socket of the caller failed: {0}")]
    Socket(#[from] std::io::Error),
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// Nothing came back.
    #[error("no final answer came within {} s", .0.as_secs_f32())]
    NoAnswer(Duration),
    /// The answer's session description does not fit the offer.
    #[error("the answer's session description cannot be used")]
    BadAnswer,
}

/// Places a call, plays, listens, hangs up.
///
/// # Errors
/// See [`CallerError`]. A refusal is no error: it is an outcome with its status.
pub async fn place_call(options: CallerOptions) -> Result<CallOutcome, CallerError> {
    let (listen, goodbye, patience) = (options.listen, options.goodbye_within, options.answer_within);
    let mut line = Line::dial(options).await?;
    let ended_by = match line.until_answered(Instant::now() + patience).await? {
        None => None,
        Some(()) => Some(line.converse(listen).await?),
    };
    if ended_by == Some(EndedBy::Caller) {
        line.hang_up();
        line.until_ended(Instant::now() + goodbye).await?;
    }
    Ok(line.into_outcome(ended_by))
}

/// The port that a URI names, or the usual one.
fn port_of(target: &SipUri) -> u16 {
    target.host_port().port.unwrap_or(DEFAULT_SIP_PORT)
}
