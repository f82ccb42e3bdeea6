//! The tokio shell of the media plane: the SIP socket, the RTP sockets, the WebSocket to the agent, and one task per
//! call. The protocol logic is in `telepath-sip` and `telepath-media`, which do no I/O; this crate connects them to
//! sockets and timers. It reaches the control plane only through [`telepath_core::ports::CallControl`].

mod advertised;
mod agent;
mod call;
pub mod caller;
mod codec;
mod command;
mod disconnect_reason;
pub mod echo_agent;
mod gateway;
mod live;
mod media_policy;
mod media_seeds;
mod metric_catalogue;
mod options;
mod pending_lookups;
mod reject_reason;
mod rtp_ports;
mod shared;
mod signalling;
mod start_error;
mod strangers;
#[cfg(test)]
mod tests;
mod transfer_limits;
mod transport;
mod trusted_networks;

pub use agent::SocketProbe;
pub use gateway::{Gateway, GatewayCounts, GatewayHandle, ShutdownReport};
pub use metric_catalogue::{METRICS, Metric, MetricKind, describe_metrics};
pub use options::{DtmfRecords, GatewayOptions};
pub use start_error::StartError;
pub use telepath_sip::digest::DigestAlgorithms;
pub use telepath_sip::message::Transport as SipTransport;
pub use transport::{InvalidClientAuthorities, SipConnectionLimits, SipConnectionTimeouts, SipTls};
