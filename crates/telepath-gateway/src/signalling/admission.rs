//! Admission of an INVITE: authenticate the caller by source address or digest (RFC 3261 section 22), check the trunk
//! and the limits of the server, then start the task of the call. Each rejection has an [`InviteRejectReason`]. An
//! unknown user gets the same processing and the same responses as a wrong password.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use telepath_core::address::NetworkList;
use telepath_core::call::Party;
use telepath_core::id::{CallId, Id as _};
use telepath_core::ports::ControlUnavailable;
use telepath_core::trunk::{TrunkForCall, TrunkLookup, TrunkMatch, TrunkOwner};
use telepath_media::codec::AudioCodec;
use telepath_media::sdp::{AcceptedOffer, MediaDirection, SessionDescription, SrtpPolicy};
use telepath_sip::digest::AuthorizationHeader;
use telepath_sip::message::KnownHeader;
use telepath_sip::{CallHandle, IncomingCall};
use tokio::sync::mpsc;

use super::called_number::{self, CalledUsers};
use super::pending_invite::{PendingInvite, is_addressed_to, trunk_lookup};
use super::refusal::{Refusal, ambiguous_owners, most_likely, number_not_listed};
use super::sip_facts::{carrier, sip_facts};
use super::stranger_screen::live_nonce_kind;
use super::{AdmittedCall, CALL_QUEUE, InviteState, SignalledCall, Signalling, SipTrace};
use crate::agent::{AgentEndpoint, dialect_of};
use crate::call::{self, CallFacts, CallSetup};
use crate::codec;
use crate::command::Command;
use crate::media_policy::MediaPolicy;
use crate::pending_lookups::LookupKind;
use crate::reject_reason::InviteRejectReason;

/// An INVITE whose caller is authenticated.
struct AuthenticatedInvite {
    invite: PendingInvite,
    trunk: TrunkForCall,
}

impl Signalling {
    pub(super) fn on_invite(&mut self, incoming: Box<IncomingCall>, now: Instant) {
        let (call, source) = (incoming.call, incoming.flow.remote);
        if self.draining {
            return self.reject_early(&incoming, InviteRejectReason::ShuttingDown, now);
        }
        if self.shared.live.len() >= self.shared.options.max_calls {
            return self.reject_early(&incoming, InviteRejectReason::ServerFull, now);
        }
        let credentials = match self.digest.read_authorization(incoming.request.headers()) {
            AuthorizationHeader::Malformed => {
                return self.reject_early(&incoming, InviteRejectReason::MalformedCredentials, now);
            }
            AuthorizationHeader::Absent => None,
            AuthorizationHeader::Credentials(credentials) => Some(credentials),
        };
        let called = CalledUsers::of_request(&incoming.request);
        let lookup = trunk_lookup(&called, incoming.flow.remote, credentials.as_deref());
        let arrived = self.shared.clock.now();
        let request = incoming.request.clone();
        let invite = Box::new(PendingInvite { incoming, credentials, arrived, arrived_at: now });
        let state = InviteState::Pending(invite);
        self.calls.insert(call, SignalledCall { trace: SipTrace::new(now), state, peer_reason: None });
        // No trunk can have this name.
        let Some(lookup) = lookup else { return self.on_trunk_lookup(call, Ok(TrunkMatch::NotFound), now) };
        let trusted = self.trusted.contains(source.ip());
        let kind = if trusted {
            LookupKind::TrustedSource
        } else {
            live_nonce_kind(&self.throttle, source.ip(), now)
        };
        // Other INVITEs of the source may have arrived in the same turn.
        let Some(place) = self.lookups.begin(kind, source.ip(), now) else {
            let attempt = self.attempt_of(request.headers(), source);
            let rule = InviteRejectReason::LookupsFull.name();
            self.shared.strangers.record_attempt(attempt, rule, self.shared.clock.now());
            self.reject(call, InviteRejectReason::LookupsFull, now);
            return;
        };
        self.find_trunk(lookup, move |trunk| Command::TrunkLookedUp(call, place, Box::new(trunk)));
    }

    /// Asks the control plane in a separate task, because a slow database must not delay other calls.
    pub(super) fn find_trunk(
        &self,
        lookup: TrunkLookup,
        command: impl FnOnce(Result<TrunkMatch, ControlUnavailable>) -> Command + Send + 'static,
    ) {
        let shared = self.shared.clone();
        self.shared.tasks.spawn(async move {
            let find = AssertUnwindSafe(shared.control.find_trunk(&lookup)).catch_unwind();
            let trunk = match tokio::time::timeout(shared.options.control_timeout, find).await {
                Ok(Ok(trunk)) => trunk,
                Ok(Err(_panic)) => Err(ControlUnavailable("the trunk look-up panicked".to_owned())),
                Err(_elapsed) => Err(ControlUnavailable("the trunk look-up timed out".to_owned())),
            };
            // Fails only when the server is shutting down.
            let _ = shared.commands.send(command(trunk)).await;
        });
    }

    pub(super) fn on_trunk_lookup(
        &mut self,
        call: CallHandle,
        trunk: Result<TrunkMatch, ControlUnavailable>,
        now: Instant,
    ) {
        // A CANCEL may have arrived before the control plane responded.
        if !matches!(self.calls.get(&call), Some(SignalledCall { state: InviteState::Pending(_), .. })) {
            return;
        }
        let Some(found) = self.calls.get_mut(&call) else { return };
        let InviteState::Pending(invite) = std::mem::replace(&mut found.state, InviteState::Deciding) else {
            return;
        };
        let trunk = match trunk {
            Ok(TrunkMatch::Found(trunk)) => Some(*trunk).filter(|trunk| is_addressed_to(&invite, trunk)),
            Ok(TrunkMatch::NotFound) => None,
            Ok(TrunkMatch::NumberNotListed(trunks)) => {
                let called = CalledUsers::of_request(&invite.incoming.request);
                let likely = most_likely(&trunks, &called);
                let refusal = number_not_listed(&called, likely.map_or(&[], |trunk| &trunk.numbers));
                let owner = likely.map(|trunk| trunk.owner);
                return self.refuse(&invite, owner.as_slice(), &refusal, now);
            }
            Ok(TrunkMatch::AmbiguousNumber(owners)) => {
                let owners = ambiguous_owners(owners);
                return self.refuse(&invite, &owners, &Refusal::of(InviteRejectReason::AmbiguousNumber), now);
            }
            Err(error) => {
                tracing::warn!(%error, "could not look up the trunk of a call; rejecting the call with 503");
                self.count_attempt(&invite, InviteRejectReason::ControlUnavailable.name());
                self.reject(call, InviteRejectReason::ControlUnavailable, now);
                return;
            }
        };
        let Some(trunk) = self.authenticate(&invite, trunk, now) else { return };
        let attempt = self.attempt_of(invite.incoming.request.headers(), invite.incoming.flow.remote);
        self.shared.strangers.take_back(attempt);
        let owner = TrunkOwner { account: trunk.trunk.account_id, trunk: trunk.trunk.id };
        let authenticated = AuthenticatedInvite { invite: *invite, trunk };
        if let Err(refusal) = self.admit(&authenticated, now) {
            self.refuse(&authenticated.invite, &[owner], &refusal, now);
        }
    }

    /// Checks the trunk and the limits, leases an RTP port and starts the task of the call.
    fn admit(&mut self, authenticated: &AuthenticatedInvite, now: Instant) -> Result<(), Refusal> {
        // The shutdown may have begun after the look-up.
        if self.draining {
            return Err(InviteRejectReason::ShuttingDown.into());
        }
        // Other calls may have been admitted during the look-up.
        if self.shared.live.len() >= self.shared.options.max_calls {
            return Err(InviteRejectReason::ServerFull.into());
        }
        let AuthenticatedInvite { invite, trunk: TrunkForCall { trunk, agent, .. } } = authenticated;
        let settings = &trunk.settings;
        if !trunk.status.takes_calls() {
            return Err(InviteRejectReason::TrunkInactive.into());
        }
        let called = CalledUsers::of_request(&invite.incoming.request);
        let numbers = &settings.inbound_numbers;
        if !numbers.is_empty() && !called.numbers().iter().any(|number| numbers.contains(number)) {
            return Err(number_not_listed(&called, numbers));
        }
        let max = settings.max_concurrent_calls.map(|max| usize::try_from(max).unwrap_or(usize::MAX));
        if max.is_some_and(|max| self.call_counts.of(trunk.id) >= max) {
            return Err(InviteRejectReason::TrunkFull.into());
        }
        let proved = self.is_return_path_proved(invite);
        let max_calls = self.shared.options.max_calls;
        if !proved && !self.call_counts.have_room_for_unproved(trunk.id, max_calls, max) {
            return Err(InviteRejectReason::UnconfirmedFull.into());
        }
        let codecs = codecs(&settings.codecs);
        let addresses = self.shared.addresses.for_media_of(invite.incoming.flow.remote.ip());
        let srtp = codec::srtp_to_media(settings.srtp);
        let offer = accept_offer(&invite.incoming, &codecs, &addresses, srtp)?;
        let id = CallId::generate(invite.arrived, &*self.shared.entropy)
            .map_err(|_| InviteRejectReason::NoEntropy)?;
        let facts = CallFacts {
            id,
            account: trunk.account_id,
            trunk: trunk.id,
            from: Party::from_sip_user(&called_number::caller(invite.incoming.caller().as_ref())),
            to: Party::from_sip_user(&called.party(&trunk.sip_username, numbers)),
            carrier: Some(carrier(invite.incoming.request.headers(), invite.incoming.flow.remote)),
            arrived: invite.arrived,
            sip: sip_facts(invite.incoming.request.headers(), invite.incoming.flow.remote),
        };
        let session = settings.session();
        let dialect = dialect_of(agent, &session);
        let lease = self.shared.ports.lease(now).map_err(|_| InviteRejectReason::RtpPortsExhausted)?;
        let (events, carrier_events) = mpsc::channel(CALL_QUEUE + 1);
        let end = events.clone().try_reserve_owned().ok();
        let (guard, hang_up_requests) = self.shared.live.insert(id, trunk.id);
        let handle = invite.incoming.call;
        let setup = CallSetup {
            handle,
            facts,
            offer,
            media_addresses: addresses,
            media_policy: media_policy(&invite.incoming, &self.shared.options.media_networks),
            codecs,
            srtp,
            agent: AgentEndpoint::of(agent, &session, &self.shared.options.providers),
            dialect,
            return_path_proved: proved,
            system_prompt: session.system_prompt,
            metadata: settings.metadata.clone(),
            max_duration: settings.max_call_seconds.map(|seconds| Duration::from_secs(seconds.into())),
            outbound: settings.outbound.clone(),
            arrived_at: invite.arrived_at,
            lease,
            carrier_events,
            hang_up_requests,
        };
        self.call_counts.add(trunk.id, proved);
        let state = InviteState::Admitted(AdmittedCall {
            events,
            end,
            trunk: trunk.id,
            _connection: self.transports.hold(&invite.incoming.flow),
            proved,
        });
        if let Some(call) = self.calls.get_mut(&handle) {
            call.state = state;
        }
        self.shared.tasks.spawn(call::supervise(Arc::clone(&self.shared), setup, guard));
        Ok(())
    }
}

/// The trunk's codecs, or all codecs if it names none.
fn codecs(wanted: &[telepath_core::trunk::Codec]) -> Vec<AudioCodec> {
    let list: Vec<AudioCodec> = wanted.iter().copied().map(codec::to_media).collect();
    if list.is_empty() { AudioCodec::ALL.to_vec() } else { list }
}

/// Parses the SDP offer, if there is one, and accepts a stream of it (RFC 3264 section 6). The task of the call writes
/// the answer.
fn accept_offer(
    incoming: &IncomingCall,
    codecs: &[AudioCodec],
    addresses: &[IpAddr],
    srtp: SrtpPolicy,
) -> Result<Option<AcceptedOffer>, InviteRejectReason> {
    let Some(offer) = &incoming.offer else { return Ok(None) };
    let offer = SessionDescription::parse(offer.as_bytes()).map_err(|_| InviteRejectReason::MalformedSdp)?;
    Ok(Some(AcceptedOffer::negotiate(offer, codecs, MediaDirection::SendRecv, addresses, srtp)?))
}

/// An INVITE with more than one Via came through a proxy (RFC 3261 section 16.6).
fn media_policy(incoming: &IncomingCall, allowed: &NetworkList) -> MediaPolicy {
    let vias = incoming.request.headers().all(KnownHeader::Via);
    let hops: usize = vias.map(|values| values.split(',').count()).sum();
    MediaPolicy::new(incoming.flow.remote.ip(), hops > 1, allowed.clone())
}
