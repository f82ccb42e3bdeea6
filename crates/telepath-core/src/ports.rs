//! The traits between crates that do not depend on each other. The gateway calls the control plane through [`CallControl`], the
//! API reaches live calls through [`LiveCalls`], the dashboard sends letters through [`Mail`], tests agents through
//! [`AgentProbe`], signs users in through an [`IdentityProvider`] and shows what a [`ServerReport`] says, and only the wiring knows
//! both sides.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::call::{CallEnd, CallStart, DisconnectReason, SipStrangers};
use crate::id::{AccountId, CallId, TrunkId};
use crate::mail::Letter;
use crate::network_set::NetworkSet;
use crate::server_status::ServerStatus;
use crate::trunk::{AgentSession, AgentTarget, AgentUrl, TrunkLookup, TrunkMatch};
use crate::user::{ExternalIdentity, GroupRoles, IdentityError, IdentityRequest, IdentityResponse};
use crate::webhook::WebhookUrl;

/// The future that a port returns.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The control plane is unavailable; the call must be refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the control plane is unavailable: {0}")]
pub struct ControlUnavailable(pub String);

/// A change of a call's agent connection, for the events `agent.connected` and `agent.disconnected`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentEvent {
    /// Its socket is open and ready.
    Connected,
    /// Its socket is closed.
    Disconnected {
        /// Why, as one word or phrase such as `call_ended` or `closed_by_agent`.
        reason: &'static str,
        /// What went wrong, if something did; without secrets.
        error_message: Option<String>,
    },
}

/// The requests of the media plane to the control plane.
pub trait CallControl: Send + Sync + 'static {
    /// The trunk that an INVITE is for, whatever its status.
    fn find_trunk<'a>(
        &'a self,
        lookup: &'a TrunkLookup,
    ) -> PortFuture<'a, Result<TrunkMatch, ControlUnavailable>>;

    /// The networks in `allowed_ips` of all trunks. The gateway keeps them in memory, because it looks up no trunk for an
    /// INVITE that has neither credentials nor such a source.
    fn trusted_networks(&self) -> PortFuture<'_, Result<NetworkSet, ControlUnavailable>>;

    /// Waits until these networks may have changed since the last call returned. A change made between two calls is
    /// reported by the second.
    fn trusted_networks_changed(&self) -> PortFuture<'_, ()>;

    /// Records an answered call as live, with its event.
    fn call_started<'a>(&'a self, start: &'a CallStart) -> PortFuture<'a, Result<(), ControlUnavailable>>;

    /// Records a change of the agent connection of a live call, as an event.
    fn agent_event<'a>(
        &'a self,
        account: AccountId,
        call: CallId,
        trunk: TrunkId,
        event: &'a AgentEvent,
    ) -> PortFuture<'a, Result<(), ControlUnavailable>>;

    /// Records a call that is over, with its event.
    fn call_ended<'a>(&'a self, end: &'a CallEnd) -> PortFuture<'a, Result<(), ControlUnavailable>>;
}

/// The requests of the control plane to the media plane.
pub trait LiveCalls: Send + Sync + 'static {
    /// Whether this server carries a call that rings or is connected, and that has not ended yet.
    fn is_live(&self, call: CallId) -> bool;

    /// Hangs up a live call. `false` if the call is not live on this server.
    fn hang_up(&self, call: CallId, reason: DisconnectReason) -> bool;

    /// Requests the end of all live calls of a trunk. Returns their number.
    fn hang_up_trunk(&self, trunk: TrunkId, reason: DisconnectReason) -> usize;

    /// Who called this server without reaching a trunk.
    fn sip_strangers(&self) -> SipStrangers;
}

/// The rules of the server about what it connects to. They are checked again at every connection.
pub trait Destinations: Send + Sync + 'static {
    /// Why the URL of a webhook endpoint cannot be used; nothing is looked up.
    fn check_webhook_url(&self, url: &WebhookUrl) -> Result<(), String>;

    /// Why the URL of an agent cannot be used; nothing is looked up.
    fn check_agent_url(&self, url: &AgentUrl) -> Result<(), String>;

    /// Why certificate authorities in PEM cannot be used.
    fn check_authorities(&self, pem: &str) -> Result<(), String>;
}

/// The first message of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentMessage {
    /// The beginning of a text, as the agent sent it.
    Text(String),
    Audio {
        bytes: usize,
    },
}

/// What an agent says after its socket is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentGreeting {
    /// The provider has accepted the session with the settings of the trunk, this long after the first packet.
    Ready(Duration),
    /// The first message of an agent whose protocol has no such handshake.
    Message(AgentMessage),
    /// Such an agent said nothing within a few seconds, as one that waits for its caller does.
    Silence,
}

/// How an agent answered a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentAnswer {
    /// From the first packet to the open WebSocket.
    pub opened_in: Duration,
    /// What it said then.
    pub greeting: AgentGreeting,
}

/// An agent did not answer a test. The text holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProbeError(pub String);

/// The requests of the dashboard to test an agent before calls depend on it.
pub trait AgentProbe: fmt::Debug + Send + Sync + 'static {
    /// Connects to an agent as for a call, within a bounded time, and closes the connection again.
    fn probe<'a>(
        &'a self,
        target: &'a AgentTarget,
        session: &'a AgentSession,
    ) -> PortFuture<'a, Result<AgentAnswer, ProbeError>>;
}

/// A letter was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MailError(pub String);

/// The requests of the dashboard to the mail server that is configured.
pub trait Mail: Send + Sync + 'static {
    /// Hands a letter to the mail server. It is tried once, within a bounded time, and not stored.
    fn send<'a>(&'a self, letter: &'a Letter) -> PortFuture<'a, Result<(), MailError>>;
}

/// What the server knows about itself.
pub trait ServerReport: Send + Sync + 'static {
    /// Its state now.
    fn status(&self) -> ServerStatus;

    /// The certificate of the local authority in PEM form; `None` if the server certificate comes from files.
    fn local_authority(&self) -> Option<String>;
}

/// Where users prove who they are outside of this server: an OpenID Connect provider.
pub trait IdentityProvider: fmt::Debug + Send + Sync + 'static {
    /// What users call it.
    fn name(&self) -> &str;

    /// The roles that its groups give.
    fn group_roles(&self) -> &GroupRoles;

    /// The URL that the browser of a user goes to.
    fn authorization_url<'a>(
        &'a self,
        request: &'a IdentityRequest,
    ) -> PortFuture<'a, Result<String, IdentityError>>;

    /// The user whose browser came back from it.
    fn identify<'a>(
        &'a self,
        request: &'a IdentityRequest,
        response: &'a IdentityResponse,
    ) -> PortFuture<'a, Result<ExternalIdentity, IdentityError>>;
}
