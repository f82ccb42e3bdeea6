//! The WebSocket to the agent: connecting, and non-blocking reads and writes.

mod connect;
mod link;
mod probe;
mod send_window;

use telepath_core::secret::SecretText;
use telepath_core::trunk::{AgentProtocol, AgentTarget, AgentUrl, HeaderName};

pub(crate) use connect::{AgentSocket, ConnectError, connect, socket_config};
pub(crate) use link::{AgentLink, LinkLost, ReceivedFrame};
pub use probe::SocketProbe;

/// Maximum length of a message from an agent, in bytes: one minute of audio.
const MAX_MESSAGE: usize = 1024 * 1024;

/// Where and how to connect to an agent.
#[derive(Debug)]
pub(crate) struct AgentEndpoint {
    pub(crate) url: AgentUrl,
    pub(crate) headers: Vec<(HeaderName, SecretText)>,
}

impl AgentEndpoint {
    /// The endpoint of a target; an error says which agents this version cannot connect to.
    pub(crate) fn of(target: &AgentTarget) -> Result<Self, &'static str> {
        match target {
            AgentTarget::Custom { url, protocol: AgentProtocol::TelepathV1, headers } => {
                Ok(Self { url: url.clone(), headers: headers.clone() })
            }
            AgentTarget::OpenAi { .. } => {
                Err("this version cannot connect to OpenAI; use a custom agent that speaks telepath.v1")
            }
            AgentTarget::ElevenLabs { .. } => {
                Err("this version cannot connect to ElevenLabs; use a custom agent that speaks telepath.v1")
            }
        }
    }
}
