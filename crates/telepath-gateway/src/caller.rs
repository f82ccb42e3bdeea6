//! A SIP test caller over UDP, TCP or TLS. It places a call, plays samples in real time, records what it receives, and measures the
//! echo. The quickstart, the command line, tests and benchmarks use it. It is built on the same SIP and media crates as
//! the gateway.

mod load;
mod sip_link;
mod test_call;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use telepath_core::entropy::EntropyError;
use telepath_core::secret::SecretText;
use telepath_media::codec::AudioCodec;
use telepath_media::test_caller::EchoStats;
use telepath_sip::message::{DEFAULT_SIP_PORT, SipUri, StatusCode, Transport, Uri};
use tokio::time::Instant;

pub use load::{LoadOptions, LoadReport, place_load};
pub(crate) use test_call::TestCall;
#[cfg(test)]
pub(crate) use test_call::TestCallEvent;

/// Options of a call to place.
#[derive(Debug, Clone)]
pub struct CallerOptions {
    /// The callee's URI, which names the transport: UDP unless it has a `transport` parameter or is a `sips:` URI.
    pub target: SipUri,
    /// The address to send the INVITE to; `None` resolves the target's host.
    pub peer: Option<SocketAddr>,
    /// The local address; `None` lets the routing table choose one.
    pub local: Option<IpAddr>,
    /// The certificate authorities that a call over TLS trusts.
    pub tls: Option<Arc<ClientConfig>>,
    /// User part of From.
    pub from: String,
    /// User name and password for digest authentication.
    pub credentials: Option<(String, SecretText)>,
    /// Codecs in order of preference.
    pub codecs: Vec<AudioCodec>,
    /// Samples to play after the answer: 8 kHz, mono.
    pub play: Vec<i16>,
    /// How long to listen after the last sample was played.
    pub listen: Duration,
    /// How long to wait for the final response to the INVITE.
    pub answer_timeout: Duration,
    /// How long to wait for the response to our BYE.
    pub hang_up_timeout: Duration,
}

impl CallerOptions {
    /// A call to a `sip:` or `sips:` URI that plays nothing and listens for one second.
    ///
    /// # Errors
    /// [`CallerError::NotASipUri`].
    pub fn new(uri: &str) -> Result<Self, CallerError> {
        let target = match Uri::parse(uri) {
            Some(Uri::Sip(target)) => target,
            Some(Uri::Tel(_) | Uri::Other(_)) | None => return Err(CallerError::NotASipUri),
        };
        Ok(Self {
            target,
            peer: None,
            local: None,
            tls: None,
            from: "telepath-caller".to_owned(),
            credentials: None,
            codecs: AudioCodec::ALL.to_vec(),
            play: Vec::new(),
            listen: Duration::from_secs(1),
            answer_timeout: Duration::from_secs(30),
            hang_up_timeout: Duration::from_secs(5),
        })
    }
}

/// Who ended an answered call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// This side, after playing and listening.
    Caller,
    /// The other side.
    Callee,
}

/// The result of a call whose INVITE got a final response.
#[derive(Debug)]
pub struct CallOutcome {
    /// Status of the final response to the INVITE.
    pub status: StatusCode,
    /// Reason phrase of a response other than 200.
    pub reason_phrase: Option<String>,
    /// Time from the INVITE to its final response.
    pub answered_after: Duration,
    /// Whether the callee sent 180 first.
    pub rang: bool,
    /// Who ended the call; `None` if it was never answered.
    pub ended_by: Option<EndedBy>,
    /// The negotiated codec; `None` if the call was never answered.
    pub codec: Option<AudioCodec>,
    /// The received audio: 8 kHz, mono.
    pub recording: Vec<i16>,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// RTP packets received.
    pub packets_received: u64,
    /// RTP packets lost.
    pub packets_lost: u64,
    /// Delays of the echo of the played samples.
    pub echo: EchoStats,
}

impl CallOutcome {
    /// Whether the call was answered.
    pub fn answered(&self) -> bool {
        self.status.is_success()
    }
}

/// Why a call has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    /// The target is not a URI that can be called.
    #[error("the target must be a sip: URI such as sip:support-01@127.0.0.1:5060")]
    NotASipUri,
    /// The target's host could not be resolved.
    #[error("the host of the target could not be resolved")]
    Unresolved,
    /// The caller's name is not valid in a SIP URI.
    #[error("the caller's name is not valid in a SIP URI")]
    BadName,
    /// A socket could not be opened or used.
    #[error("a socket of the caller failed: {0}")]
    Socket(#[from] std::io::Error),
    /// The operating system returned no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// No final response arrived in time.
    #[error("no final response arrived within {} s", .0.as_secs_f32())]
    NoAnswer(Duration),
    /// The SDP answer does not match the offer.
    #[error("the SDP answer does not match the offer")]
    BadAnswer,
}

/// Places a call, plays, listens and hangs up.
///
/// # Errors
/// See [`CallerError`]. A rejected call is not an error; its outcome has the status of the rejection.
pub async fn place_call(options: CallerOptions) -> Result<CallOutcome, CallerError> {
    let (answer_timeout, hang_up_timeout) = (options.answer_timeout, options.hang_up_timeout);
    let listen = options.listen;
    let mut call = TestCall::dial(options).await?;
    let ended_by = match call.until_answered(Instant::now() + answer_timeout).await? {
        None => None,
        Some(()) => Some(call.play_and_listen(listen).await?),
    };
    if ended_by == Some(EndedBy::Caller) {
        call.hang_up();
        call.until_ended(Instant::now() + hang_up_timeout).await?;
    }
    Ok(call.into_outcome(ended_by))
}

/// The port of a URI, or the default port of its transport.
fn port_of(target: &SipUri) -> u16 {
    let default = target.transport().map_or(DEFAULT_SIP_PORT, Transport::default_port);
    target.host_port().port.unwrap_or(default)
}
