//! What has happened to the connection to the agent of a call.

use std::time::Instant;

#[derive(Debug, Default)]
pub(super) struct AgentHistory {
    /// Whether the agent was ever ready.
    pub(super) was_ready: bool,
    /// Whether `agent.connected` was reported and `agent.disconnected` was not.
    pub(super) is_reported: bool,
    /// When the connection was last opened again.
    pub(super) reconnected_at: Option<Instant>,
    /// How the connection was lost, until the bridge says what that means.
    pub(super) lost: Option<String>,
}
