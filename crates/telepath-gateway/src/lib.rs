//! The tokio shell of the media plane: the SIP endpoint's socket, media sockets, the agent's WebSocket, and one task
//! that owns each call. What a message means is decided in `telepath-sip` and `telepath-media`; here it is only
//! carried. The control plane is seen through [`telepath_core::ports::CallControl`] and nothing else.

mod agent;
mod call;
pub mod caller;
mod dice;
pub mod echo_agent;
mod gateway;
mod live;
mod metric_catalogue;
mod options;
mod rtp_ports;
mod signalling;
#[cfg(test)]
mod tests;

pub use gateway::{Gateway, GatewayCounts, GatewayHandle, ShutdownReport};
pub use metric_catalogue::{METRICS, Metric, MetricKind, describe_metrics};
pub use options::{GatewayOptions, StartError};
