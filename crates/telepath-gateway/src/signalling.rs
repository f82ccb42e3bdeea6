//! The signalling task owns the SIP endpoint (RFC 3261) and its transports. It processes messages in order of arrival
//! and never waits for a database or for a call: calls send it commands, it sends them events, both through bounded
//! channels, so neither side can block the other.

mod admission;
mod apply;
mod auth_throttle;
mod authentication;
mod call_counts;
mod called_number;
mod pending_invite;
mod receive;
mod refusal;
mod refusal_budget;
mod rejected_invite;
mod rejection_log;
mod sip_facts;
mod sip_trace;
mod stranger_screen;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use telepath_core::call::DisconnectReason;
use telepath_core::digest_hash::SIP_REALM;
use telepath_core::id::TrunkId;
use telepath_core::network_set::NetworkSet;
use telepath_sip::digest::{DigestConfig, DigestServer, NonceSecret, Realm};
use telepath_sip::message::{DropReason, MAX_MESSAGE_BYTES, StatusCode};
use telepath_sip::{
    AdvertisedAddresses, CallHandle, DialogEnd, DtmfSignal, Endpoint, EndpointConfig, EndpointLimits,
    EndpointSeed, Event, Flow, ReInviteMethod, RejectReason,
};
use tokio::sync::mpsc;

use crate::command::{CarrierEvent, Command};
use crate::disconnect_reason;
use crate::pending_lookups::PendingLookups;
use crate::shared::Shared;
use crate::transport::{CloseReason, ConnectionHold, Received, Transports};
use auth_throttle::AuthThrottle;
use call_counts::CallCounts;
use pending_invite::PendingInvite;
use refusal::RefusedCall;
use refusal_budget::RefusalBudget;
use rejected_invite::CANCELLED;
use rejection_log::RejectionLog;
use sip_trace::SipTrace;

/// Lifetime of a nonce in seconds.
const NONCE_LIFETIME_SECONDS: u64 = 300;
/// Nonces whose used counts are remembered.
const MAX_NONCES: usize = 65_536;
/// Capacity of a call's event channel. A call that lets it fill up is stuck and is hung up.
const CALL_QUEUE: usize = 32;

/// A call of the SIP endpoint, with its trace.
struct SignalledCall {
    trace: SipTrace,
    state: InviteState,
    /// The Reason headers of the caller's BYE or CANCEL.
    peer_reason: Option<String>,
}

enum InviteState {
    /// The trunk is being looked up.
    Pending(Box<PendingInvite>),
    /// The trunk has been looked up; the decision is made in the same turn.
    Deciding,
    /// A task owns the call.
    Admitted(AdmittedCall),
}

/// The channel to the task of a call.
struct AdmittedCall {
    events: mpsc::Sender<CarrierEvent>,
    /// A place in the channel that only the end of the dialog may take, so that a call that lets its channel fill up still
    /// learns of it.
    end: Option<mpsc::OwnedPermit<CarrierEvent>>,
    trunk: TrunkId,
    /// Keeps the connection of the INVITE open.
    _connection: Option<ConnectionHold>,
    /// Whether the caller has answered a challenge, or its ACK has arrived.
    proved: bool,
}

pub(crate) struct Signalling {
    shared: Arc<Shared>,
    transports: Transports,
    /// Connections that ended in this turn.
    closed: Vec<(Flow, CloseReason)>,
    endpoint: Endpoint,
    digest: DigestServer,
    throttle: AuthThrottle,
    rejections: RejectionLog,
    refusals: RefusalBudget,
    lookups: PendingLookups,
    /// Calls that were refused in this turn and are not recorded yet.
    refused: Vec<RefusedCall>,
    /// The networks in `allowed_ips` of all trunks.
    trusted: NetworkSet,
    calls: HashMap<CallHandle, SignalledCall>,
    call_counts: CallCounts,
    commands: mpsc::Receiver<Command>,
    draining: bool,
    stopped: bool,
}

/// The random values that the signalling task needs.
pub(crate) struct SignallingSeeds {
    pub(crate) endpoint: [u8; 32],
    /// Names this start of this server in its nonces.
    pub(crate) nonce_issuer: u32,
    pub(crate) nonce_secret: [u8; 32],
}

/// What wakes the signalling task.
enum Wakeup {
    Command(Command),
    Received(Received),
    Timer,
    /// All senders of commands have been dropped.
    CommandsClosed,
}

impl Signalling {
    pub(crate) fn new(
        shared: Arc<Shared>,
        transports: Transports,
        advertised: AdvertisedAddresses,
        seeds: &SignallingSeeds,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        // The endpoint also holds calls that are being challenged or wait for the response to our BYE.
        let max_calls = shared.options.max_calls.saturating_mul(2) + 1_024;
        let limits = EndpointLimits { max_calls, ..EndpointLimits::default() };
        let config = EndpointConfig { limits, ..EndpointConfig::new(advertised) };
        let digest = DigestConfig {
            realm: Realm::new(SIP_REALM),
            nonce_lifetime_seconds: NONCE_LIFETIME_SECONDS,
            max_nonces: MAX_NONCES,
            algorithms: shared.options.digest_algorithms,
        };
        Self {
            throttle: AuthThrottle::new(shared.options.auth_failures_per_minute),
            endpoint: Endpoint::new(config, EndpointSeed(seeds.endpoint)),
            digest: DigestServer::new(digest, NonceSecret::new(seeds.nonce_secret), seeds.nonce_issuer),
            rejections: RejectionLog::default(),
            refusals: RefusalBudget::default(),
            lookups: PendingLookups::default(),
            refused: Vec::new(),
            trusted: NetworkSet::default(),
            calls: HashMap::new(),
            call_counts: CallCounts::default(),
            draining: false,
            stopped: false,
            shared,
            transports,
            closed: Vec::new(),
            commands,
        }
    }

    /// Runs until [`Command::Stop`].
    pub(crate) async fn run(mut self) {
        let mut buffer = vec![0; MAX_MESSAGE_BYTES + 1];
        while !self.stopped {
            let deadline = self.endpoint.poll_timeout();
            let wakeup = tokio::select! {
                biased;
                command = self.commands.recv() => command.map_or(Wakeup::CommandsClosed, Wakeup::Command),
                received = self.transports.receive(&mut buffer) => Wakeup::Received(received),
                () = sleep_until(deadline), if deadline.is_some() => Wakeup::Timer,
            };
            self.take_turn(wakeup, &mut buffer, Instant::now());
            self.flush().await;
        }
    }

    /// Handles the endpoint's events, sends its messages and stores its trace until nothing is left.
    async fn flush(&mut self) {
        loop {
            while let Some(event) = self.endpoint.poll_event() {
                self.handle_event(event, Instant::now());
            }
            let mut idle = true;
            while let Some(transmit) = self.endpoint.poll_transmit() {
                idle = false;
                if let Err(flow) = self.transports.send(transmit).await {
                    self.closed.push((flow, CloseReason::SlowReader));
                }
            }
            self.collect_trace();
            if idle && !self.forget_closed(Instant::now()) {
                self.write_refusals();
                return;
            }
        }
    }

    fn collect_trace(&mut self) {
        while let Some(record) = self.endpoint.poll_trace() {
            if let Some(call) = self.calls.get_mut(&record.call) {
                call.trace.append(&record);
            }
        }
    }

    fn handle_event(&mut self, event: Event, now: Instant) {
        match event {
            Event::Incoming(incoming) => self.on_invite(incoming, now),
            Event::Confirmed { call, answer } => {
                self.note_return_path(call);
                self.forward(call, CarrierEvent::Confirmed(answer), now);
            }
            Event::ReInvite { call, method: ReInviteMethod::Invite | ReInviteMethod::Update, offer } => {
                self.forward(call, CarrierEvent::ReInvite(offer), now);
            }
            Event::Dtmf { call, signal } => {
                metrics::counter!("telepath_sip_info_total").increment(1);
                match signal {
                    DtmfSignal::Key { key, duration: _ } => self.forward(call, CarrierEvent::Dtmf(key), now),
                    DtmfSignal::Flash => self.forward(call, CarrierEvent::Flash, now),
                }
            }
            Event::SessionRefreshed { call, answer: Some(answer) } => {
                self.forward(call, CarrierEvent::SessionRefreshed(answer), now);
            }
            Event::Refer { call, progress } => self.forward(call, CarrierEvent::Refer(progress), now),
            Event::Ended { call, end, reason } => self.on_dialog_end(call, end, reason, now),
            Event::Rejected { reason, source, status, invite, call } => match reason {
                // A keep-alive is not an error (RFC 5626 section 3.5.1).
                RejectReason::Unparsable(DropReason::KeepAlive) => {
                    metrics::counter!("telepath_sip_keep_alives_total").increment(1);
                }
                reason => {
                    self.rejections.record(reason.name(), now);
                    match (invite, call) {
                        (Some(invite), None) => {
                            self.on_rejected_invite(invite, source, reason.name(), status, now);
                        }
                        (None, None) => self.count_stranger(source, reason.name()),
                        // The peer of a call is no stranger.
                        (_, Some(_)) => {}
                    }
                }
            },
            // The call is told when it responds. The gateway places no calls and sends no other requests.
            Event::ReInviteCancelled { .. }
            | Event::SessionRefreshed { answer: None, .. }
            | Event::Response { .. }
            | Event::Ringing { .. }
            | Event::Answered { .. } => {}
        }
    }

    fn on_dialog_end(&mut self, call: CallHandle, end: DialogEnd, peer_reason: Option<String>, now: Instant) {
        let Some(found) = self.calls.get_mut(&call) else { return };
        found.peer_reason = peer_reason;
        match &mut found.state {
            InviteState::Admitted(admitted) => {
                if let Some(permit) = admitted.end.take() {
                    permit.send(CarrierEvent::Ended(end));
                }
            }
            InviteState::Deciding => drop(self.calls.remove(&call)),
            InviteState::Pending(invite) => {
                let (request, source) = (invite.incoming.request.clone(), invite.incoming.flow.remote);
                self.calls.remove(&call);
                // A call that was refused early has been recorded or counted.
                if end == DialogEnd::Cancelled {
                    let status = Some(StatusCode::REQUEST_TERMINATED);
                    self.on_rejected_invite(request.into(), source, CANCELLED, status, now);
                }
            }
        }
    }

    /// The ACK repeats the tag of our 200, which only the receiver of the 200 knows.
    fn note_return_path(&mut self, call: CallHandle) {
        if let Some(SignalledCall { state: InviteState::Admitted(admitted), .. }) = self.calls.get_mut(&call)
            && !std::mem::replace(&mut admitted.proved, true)
        {
            self.call_counts.prove(admitted.trunk);
        }
    }

    fn forward(&mut self, call: CallHandle, event: CarrierEvent, now: Instant) {
        let Some(SignalledCall { state: InviteState::Admitted(admitted), .. }) = self.calls.get(&call) else {
            return;
        };
        if admitted.events.try_send(event).is_err() {
            tracing::warn!(%call, "a call does not read its SIP events; hanging it up");
            // Fails only when the dialog has already ended.
            let reason = disconnect_reason::to_reason(DisconnectReason::Unknown);
            let _ = self.endpoint.hang_up_because(call, Some(reason), now);
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    if let Some(deadline) = deadline {
        tokio::time::sleep_until(deadline.into()).await;
    }
}
