//! What the task of a call does when its agent is connected, ready, or lost.

use std::time::{Duration, Instant};

use telepath_core::call::DisconnectReason;
use telepath_core::ports::AgentEvent;
use telepath_media::dialect::AgentClose;

use super::task::{AgentConnection, CallPhase, CallTask, connecting};
use crate::agent::{AgentLink, AgentSocket, ConnectError, LinkLost};

/// The code of a close frame that has none (RFC 6455 section 7.1.5).
const NO_STATUS: u16 = 1005;
/// Within this time, an agent whose connection was lost must be ready on another one.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that is lost sooner after it was opened again ends the call.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(10);

impl CallTask<'_> {
    pub(super) async fn on_agent_connected(
        &mut self,
        result: Result<AgentSocket, ConnectError>,
        now: Instant,
    ) {
        match result {
            Ok(socket) => {
                self.agent = AgentConnection::Open(Box::new(AgentLink::new(
                    socket,
                    self.shared.options.agent_queue / 2,
                    now,
                )));
                if self.bridge.is_agent_ready() {
                    self.on_agent_ready(now).await;
                }
            }
            Err(error) => {
                self.agent = AgentConnection::Closed;
                self.end_without_agent(error.to_string(), now).await;
            }
        }
    }

    /// The agent's socket is open and its handshake is complete.
    pub(super) async fn on_agent_ready(&mut self, now: Instant) {
        self.agent_history.was_ready = true;
        self.agent_history.lost = None;
        match self.phase {
            CallPhase::Ringing { .. } => self.answer(now).await,
            CallPhase::Connected => self.report_agent_connected(),
            CallPhase::Draining { .. } => {}
        }
    }

    /// The time at which an agent whose socket is open must have said that it is ready.
    pub(super) fn agent_ready_deadline(&self) -> Option<Instant> {
        let open = matches!(self.agent, AgentConnection::Open(_)) && self.disconnection.is_none();
        (open && !self.bridge.is_agent_ready()).then_some(self.agent_ready_by)
    }

    /// Ends the call if the agent has accepted the socket and nothing else.
    pub(super) async fn check_agent_ready_in_time(&mut self, now: Instant) {
        if self.agent_ready_deadline().is_some_and(|deadline| now >= deadline) {
            self.agent = AgentConnection::Closed;
            let limit = if self.agent_history.was_ready {
                RECONNECT_TIMEOUT
            } else {
                self.shared.options.agent_connect_timeout
            };
            let text = format!("the agent was not ready within {} s", limit.as_secs_f32());
            self.end_without_agent(text, now).await;
        }
    }

    /// Ends a call whose agent cannot be reached, or not again.
    async fn end_without_agent(&mut self, text: String, now: Instant) {
        if self.agent_history.was_ready {
            let first = self.agent_history.lost.take().map(|lost| format!("{lost}; on a new connection: "));
            self.report_agent_disconnected("connection_lost", Some(text.clone()));
            let text = first.unwrap_or_default() + &text;
            self.end(DisconnectReason::AiProviderError, Some(text), now).await;
        } else {
            self.end(DisconnectReason::ConnectionFailed, Some(text), now).await;
        }
    }

    /// Opens another connection to an agent that was lost, if its dialect can continue the call there.
    fn reconnect(&mut self, lost: &LinkLost, now: Instant) -> bool {
        let again = self
            .agent_history
            .reconnected_at
            .is_some_and(|at| now.saturating_duration_since(at) < RECONNECT_INTERVAL);
        if again || !self.bridge.is_agent_ready() || !self.bridge.reconnect_agent(now) {
            return false;
        }
        tracing::warn!(call = %self.facts.id, "{lost}; connecting again");
        self.agent_history.reconnected_at = Some(now);
        self.agent_ready_by = now + RECONNECT_TIMEOUT;
        self.agent_history.lost = Some(lost.to_string());
        let subprotocol = self.bridge.subprotocol();
        self.agent = AgentConnection::Connecting(connecting(
            &self.shared,
            &self.endpoint,
            &self.facts,
            subprotocol,
            RECONNECT_TIMEOUT,
        ));
        true
    }

    pub(super) async fn on_agent_lost(&mut self, lost: LinkLost, now: Instant) {
        self.agent = AgentConnection::Closed;
        if self.disconnection.is_some() {
            return self.report_agent_disconnected("call_ended", None);
        }
        if self.reconnect(&lost, now) {
            return;
        }
        let text = lost.to_string();
        let close = match &lost {
            LinkLost::Closed { code, explanation } => {
                self.report_agent_disconnected("closed_by_agent", None);
                Some(AgentClose { code: code.unwrap_or(NO_STATUS), reason: explanation })
            }
            LinkLost::Broken(text) => {
                self.report_agent_disconnected("connection_lost", Some(text.clone()));
                None
            }
        };
        if self.bridge.is_agent_ready() {
            self.agent_history.lost = Some(text);
            self.bridge.handle_agent_closed(close, now);
        } else {
            self.end_without_agent(text, now).await;
        }
    }

    pub(super) fn report_agent_connected(&mut self) {
        if !self.agent_history.is_reported {
            self.agent_history.is_reported = true;
            self.journal.record_agent(AgentEvent::Connected);
        }
    }

    pub(super) fn report_agent_disconnected(&mut self, reason: &'static str, error_message: Option<String>) {
        if std::mem::take(&mut self.agent_history.is_reported) {
            self.journal.record_agent(AgentEvent::Disconnected { reason, error_message });
        }
    }
}
