//! The agent's side of a call: opening its WebSocket, and reading and writing it without ever waiting.

mod connect;
mod link;

use telepath_core::secret::SecretText;
use telepath_core::trunk::{AgentUrl, HeaderName};

pub(crate) use connect::{AgentSocket, ConnectError, connect, socket_config};
pub(crate) use link::{AgentLink, Heard, LinkLost};

/// The longest message that an agent may send, in bytes: a minute of its audio.
pub(crate) const MAX_MESSAGE: usize = 1024 * 1024;

/// How to reach a call's agent.
#[derive(Debug)]
pub(crate) struct AgentPlan {
    pub(crate) url: AgentUrl,
    pub(crate) headers: Vec<(HeaderName, SecretText)>,
}
