//! The WebSocket to the agent: connecting, and non-blocking reads and writes.

mod connect;
mod link;
mod send_window;

use telepath_core::secret::SecretText;
use telepath_core::trunk::{AgentUrl, HeaderName};

pub(crate) use connect::{AgentSocket, ConnectError, connect, socket_config};
pub(crate) use link::{AgentLink, LinkLost, ReceivedFrame};

/// Maximum length of a message from an agent, in bytes: one minute of audio.
const MAX_MESSAGE: usize = 1024 * 1024;

/// Where and how to connect to an agent.
#[derive(Debug)]
pub(crate) struct AgentEndpoint {
    pub(crate) url: AgentUrl,
    pub(crate) headers: Vec<(HeaderName, SecretText)>,
}
