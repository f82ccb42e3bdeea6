//! The WebSocket to the agent: connecting, and non-blocking reads and writes.

mod connect;
mod connect_error;
mod endpoint;
mod link;
mod probe;
mod send_window;
mod signed_url;

pub(crate) use connect::{AgentSocket, connect, socket_config};
pub(crate) use connect_error::ConnectError;
pub(crate) use endpoint::{AgentEndpoint, dialect_of};
pub(crate) use link::{AgentLink, LinkLost, ReceivedFrame};
pub use probe::SocketProbe;

/// Maximum length of a message from an agent, in bytes: some providers send half a minute of audio in one JSON frame.
const MAX_MESSAGE: usize = 1024 * 1024;
