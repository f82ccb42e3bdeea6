//! Admission of an INVITE: authenticate the caller by source address or digest (RFC 3261 section 22), check the trunk
//! and the limits of the server, then start the task of the call. Each rejection has an [`InviteRejectReason`]. An
//! unknown user gets the same processing and the same responses as a wrong password.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use telepath_core::address::{AddressBlock, NetworkList};
use telepath_core::call::{DisconnectReason, Party};
use telepath_core::clock::Timestamp;
use telepath_core::id::{CallId, Id as _};
use telepath_core::ports::ControlUnavailable;
use telepath_core::trunk::{AgentTarget, SipUsername, TrunkForCall, TrunkLookup, TrunkMatch, TrunkStatus};
use telepath_media::codec::AudioCodec;
use telepath_media::sdp::{AcceptedOffer, MediaDirection, NegotiationError, SessionDescription};
use telepath_sip::digest::{
    AuthorizationHeader, Credentials, DigestRejectReason, DigestVerification, EpochSeconds, Ha1Pair,
};
use telepath_sip::message::KnownHeader;
use telepath_sip::{CallHandle, IncomingCall};
use tokio::sync::mpsc;

use super::called_number::{self, CalledUsers};
use super::{AdmittedCall, CALL_QUEUE, InviteState, SignalledCall, Signalling, SipTrace};
use crate::agent::AgentEndpoint;
use crate::call::{self, CallFacts, CallSetup};
use crate::codec;
use crate::command::Command;
use crate::media_policy::MediaPolicy;
use crate::reject_reason::InviteRejectReason;

/// How much of a carrier's `User-Agent` is recorded, in characters.
const MAX_CARRIER: usize = 64;

/// An INVITE whose trunk is being looked up.
pub(super) struct PendingInvite {
    incoming: Box<IncomingCall>,
    credentials: Option<Box<Credentials>>,
    arrived: Timestamp,
    arrived_at: Instant,
}

/// An INVITE whose caller is authenticated.
struct AuthenticatedInvite {
    invite: PendingInvite,
    trunk: TrunkForCall,
}

impl Signalling {
    pub(super) fn on_invite(&mut self, incoming: Box<IncomingCall>, now: Instant) {
        let call = incoming.call;
        if self.draining {
            return self.reject(call, InviteRejectReason::ShuttingDown, now);
        }
        if self.shared.live.len() >= self.shared.options.max_calls {
            return self.reject(call, InviteRejectReason::ServerFull, now);
        }
        let credentials = match self.digest.read_authorization(&incoming.request) {
            AuthorizationHeader::Malformed => {
                return self.reject(call, InviteRejectReason::MalformedCredentials, now);
            }
            AuthorizationHeader::Absent => None,
            AuthorizationHeader::Credentials(credentials) => Some(credentials),
        };
        let lookup = trunk_lookup(&incoming, credentials.as_deref());
        let arrived = self.shared.clock.now();
        let invite = Box::new(PendingInvite { incoming, credentials, arrived, arrived_at: now });
        let state = InviteState::Pending(invite);
        self.calls.insert(call, SignalledCall { trace: SipTrace::new(now), state, peer_reason: None });
        match lookup {
            Some(lookup) => self.look_up_trunk(call, lookup),
            // No trunk can have this name.
            None => self.on_trunk_lookup(call, Ok(TrunkMatch::NotFound), now),
        }
    }

    /// Asks the control plane in a separate task, because a slow database must not delay other calls.
    fn look_up_trunk(&self, call: CallHandle, lookup: TrunkLookup) {
        let shared = self.shared.clone();
        self.shared.tasks.spawn(async move {
            let find = AssertUnwindSafe(shared.control.find_trunk(&lookup)).catch_unwind();
            let trunk = match tokio::time::timeout(shared.options.control_timeout, find).await {
                Ok(Ok(trunk)) => trunk,
                Ok(Err(_panic)) => Err(ControlUnavailable("the trunk look-up panicked".to_owned())),
                Err(_elapsed) => Err(ControlUnavailable("the trunk look-up timed out".to_owned())),
            };
            // Fails only when the server is shutting down.
            let _ = shared.commands.send(Command::TrunkLookedUp(call, Box::new(trunk))).await;
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
        let Some(SignalledCall { trace, state: InviteState::Pending(invite), .. }) = self.calls.remove(&call)
        else {
            return;
        };
        let trunk = match trunk {
            Ok(TrunkMatch::Found(trunk)) => Some(*trunk).filter(|trunk| is_addressed_to(&invite, trunk)),
            Ok(TrunkMatch::NotFound) => None,
            Ok(TrunkMatch::NumberNotListed(_)) => {
                return self.reject(call, InviteRejectReason::NumberNotListed, now);
            }
            Ok(TrunkMatch::AmbiguousNumber(_)) => {
                return self.reject(call, InviteRejectReason::AmbiguousNumber, now);
            }
            Err(error) => {
                tracing::warn!(%error, "could not look up the trunk of a call; rejecting the call with 503");
                return self.reject(call, InviteRejectReason::ControlUnavailable, now);
            }
        };
        let Some(trunk) = self.authenticate(&invite, trunk, now) else { return };
        let authenticated = AuthenticatedInvite { invite: *invite, trunk };
        if let Err(reason) = self.admit(&authenticated, trace, now) {
            self.reject(call, reason, now);
        }
    }

    /// Returns the trunk if the caller's address is in `allowed_ips` or its digest is valid. Otherwise sends a
    /// challenge or a rejection.
    fn authenticate(
        &mut self,
        invite: &PendingInvite,
        trunk: Option<TrunkForCall>,
        now: Instant,
    ) -> Option<TrunkForCall> {
        let (call, source) = (invite.incoming.call, invite.incoming.source.ip());
        let trunk = match trunk {
            Some(trunk) if trunk.trunk.allowed_ips.contains(source) => return Some(trunk),
            other => other,
        };
        let Some(credentials) = &invite.credentials else {
            self.challenge(call, source, false, now);
            return None;
        };
        let ha1 = trunk.as_ref().map(|trunk| Ha1Pair::new(*trunk.digest.md5(), *trunk.digest.sha256()));
        let seconds = self.epoch();
        match self.digest.verify(credentials, &invite.incoming.request, source, ha1.as_ref(), seconds) {
            DigestVerification::Valid => trunk,
            DigestVerification::Stale => {
                self.challenge(call, source, true, now);
                None
            }
            // A new challenge would end in a loop: the client would send the same URI again.
            DigestVerification::Rejected(DigestRejectReason::UriMismatch) => {
                self.reject(call, InviteRejectReason::UriMismatch, now);
                None
            }
            DigestVerification::Rejected(reason) => {
                self.rejections.record(invite_reason(reason).name(), now);
                let guess = is_password_guess(reason);
                // A live nonce proves that the source is not forged, so nobody can have another address throttled.
                if guess && self.digest.has_live_nonce(credentials, source, seconds) {
                    let block = AddressBlock::of(source);
                    if self.throttle.is_throttled(block, now) {
                        self.reject(call, InviteRejectReason::AuthThrottled, now);
                        return None;
                    }
                    self.throttle.record_failure(block, now);
                }
                self.challenge(call, source, !guess, now);
                None
            }
        }
    }

    fn challenge(&mut self, call: CallHandle, source: IpAddr, stale: bool, now: Instant) {
        metrics::counter!("telepath_sip_challenges_total").increment(1);
        let seconds = self.epoch();
        let challenges = self.digest.challenge(stale, source, seconds);
        // Fails only when the caller has cancelled.
        let _ = self.endpoint.challenge(call, &challenges, now);
        self.calls.remove(&call);
    }

    /// Whether the caller has received a nonce of ours at its source address.
    fn is_return_path_proved(&self, invite: &PendingInvite) -> bool {
        let (source, now) = (invite.incoming.source.ip(), self.epoch());
        invite.credentials.as_ref().is_some_and(|given| self.digest.has_live_nonce(given, source, now))
    }

    pub(super) fn epoch(&self) -> EpochSeconds {
        EpochSeconds(u64::try_from(self.shared.clock.now().unix_seconds()).unwrap_or(0))
    }

    fn reject(&mut self, call: CallHandle, reason: InviteRejectReason, now: Instant) {
        self.rejections.record(reason.name(), now);
        tracing::debug!(%call, reason = reason.name(), "INVITE rejected");
        // Fails only when the caller has cancelled.
        let _ = self.endpoint.reject_with(call, reason.rejection(), now);
        self.calls.remove(&call);
    }

    /// Checks the trunk and the limits, leases an RTP port and starts the task of the call.
    fn admit(
        &mut self,
        authenticated: &AuthenticatedInvite,
        trace: SipTrace,
        now: Instant,
    ) -> Result<(), InviteRejectReason> {
        // The shutdown may have begun after the look-up.
        if self.draining {
            return Err(InviteRejectReason::ShuttingDown);
        }
        // Other calls may have been admitted during the look-up.
        if self.shared.live.len() >= self.shared.options.max_calls {
            return Err(InviteRejectReason::ServerFull);
        }
        let AuthenticatedInvite { invite, trunk: TrunkForCall { trunk, agent, .. } } = authenticated;
        let settings = &trunk.settings;
        match trunk.status {
            TrunkStatus::Active => {}
            TrunkStatus::Inactive => return Err(InviteRejectReason::TrunkInactive),
            TrunkStatus::Error => return Err(InviteRejectReason::TrunkError),
        }
        let called = CalledUsers::of(&invite.incoming.request);
        let numbers = &settings.inbound_numbers;
        if !numbers.is_empty() && !called.numbers().iter().any(|number| numbers.contains(number)) {
            return Err(InviteRejectReason::NumberNotListed);
        }
        let live = self.calls_per_trunk.get(&trunk.id).copied().unwrap_or(0);
        let max = settings.max_concurrent_calls;
        if max.is_some_and(|max| live >= usize::try_from(max).unwrap_or(usize::MAX)) {
            return Err(InviteRejectReason::TrunkFull);
        }
        let codecs = codecs(&settings.codecs);
        let offer = accept_offer(&invite.incoming, &codecs, self.shared.media_ip)?;
        let id = CallId::generate(invite.arrived, &*self.shared.entropy)
            .map_err(|_| InviteRejectReason::NoEntropy)?;
        let facts = CallFacts {
            id,
            account: trunk.account_id,
            trunk: trunk.id,
            from: Party::from_sip_user(&called_number::caller(invite.incoming.caller().as_ref())),
            to: Party::from_sip_user(&called.party(&trunk.sip_username)),
            carrier: Some(carrier(&invite.incoming)),
            arrived: invite.arrived,
        };
        let agent = match agent_endpoint(agent) {
            Ok(agent) => agent,
            Err(why) => {
                let reason = DisconnectReason::ConnectionFailed;
                call::record_rejected(&self.shared, facts, reason, why, trace.into_text());
                return Err(InviteRejectReason::DialectNotSupported);
            }
        };
        let lease = self.shared.ports.lease(now).map_err(|_| InviteRejectReason::RtpPortsExhausted)?;
        let (events, carrier_events) = mpsc::channel(CALL_QUEUE + 1);
        let end = events.clone().try_reserve_owned().ok();
        let (guard, hang_up_requests) = self.shared.live.insert(id, trunk.id);
        let handle = invite.incoming.call;
        let setup = CallSetup {
            handle,
            facts,
            offer,
            media_policy: media_policy(&invite.incoming, &self.shared.options.media_networks),
            codecs,
            agent,
            return_path_proved: self.is_return_path_proved(invite),
            system_prompt: settings.system_prompt.clone(),
            metadata: settings.metadata.clone(),
            max_duration: settings.max_call_seconds.map(|seconds| Duration::from_secs(seconds.into())),
            arrived_at: invite.arrived_at,
            lease,
            carrier_events,
            hang_up_requests,
        };
        *self.calls_per_trunk.entry(trunk.id).or_default() += 1;
        let state = InviteState::Admitted(AdmittedCall { events, end, trunk: trunk.id });
        self.calls.insert(handle, SignalledCall { trace, state, peer_reason: None });
        self.shared.tasks.spawn(call::supervise(Arc::clone(&self.shared), setup, guard));
        Ok(())
    }
}

fn invite_reason(reason: DigestRejectReason) -> InviteRejectReason {
    match reason {
        DigestRejectReason::UnknownUser => InviteRejectReason::UnknownUser,
        DigestRejectReason::WrongResponse => InviteRejectReason::WrongPassword,
        DigestRejectReason::ForeignNonce => InviteRejectReason::ForeignNonce,
        DigestRejectReason::Replayed => InviteRejectReason::ReplayedCredentials,
        DigestRejectReason::UriMismatch => InviteRejectReason::UriMismatch,
    }
}

/// Whether the caller may be guessing passwords. Otherwise it knows the password and gets a fresh nonce: the nonce was
/// issued under another key, or the nonce count was repeated.
fn is_password_guess(reason: DigestRejectReason) -> bool {
    match reason {
        DigestRejectReason::UnknownUser | DigestRejectReason::WrongResponse => true,
        DigestRejectReason::ForeignNonce | DigestRejectReason::Replayed | DigestRejectReason::UriMismatch => {
            false
        }
    }
}

/// What the INVITE says about its trunk; `None` if its credentials have a name that no trunk can have. A carrier that dials
/// by number names the trunk in its credentials only, or not at all.
fn trunk_lookup(incoming: &IncomingCall, credentials: Option<&Credentials>) -> Option<TrunkLookup> {
    let called = CalledUsers::of(&incoming.request);
    let credentials = match credentials {
        Some(credentials) => Some(SipUsername::try_from(credentials.username().to_owned()).ok()?),
        None => None,
    };
    Some(TrunkLookup {
        source: incoming.source.ip(),
        credentials,
        called_user: called.username(),
        called_numbers: called.numbers(),
    })
}

/// Whether the Request-URI names this trunk by its user name, or names no trunk and the trunk is known by the caller's
/// credentials or source address.
fn is_addressed_to(invite: &PendingInvite, trunk: &TrunkForCall) -> bool {
    let called = CalledUsers::of(&invite.incoming.request);
    let trunk = &trunk.trunk;
    let known = invite.credentials.is_some() || trunk.allowed_ips.contains(invite.incoming.source.ip());
    let user = invite.incoming.called();
    let named = user.is_some_and(|user| user.name().eq_ignore_ascii_case(trunk.sip_username.as_str()));
    named || (known && called.names_no_trunk())
}

/// The carrier for the call record: its `User-Agent`, otherwise its address.
fn carrier(incoming: &IncomingCall) -> String {
    let product = incoming.request.headers().first(KnownHeader::UserAgent);
    let product =
        product.map(|text| text.chars().filter(|c| !c.is_control()).take(MAX_CARRIER).collect::<String>());
    product.filter(|text| !text.is_empty()).unwrap_or_else(|| incoming.source.ip().to_canonical().to_string())
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
    media_ip: IpAddr,
) -> Result<Option<AcceptedOffer>, InviteRejectReason> {
    let Some(offer) = &incoming.offer else { return Ok(None) };
    let offer = SessionDescription::parse(offer.as_bytes()).map_err(|_| InviteRejectReason::MalformedSdp)?;
    AcceptedOffer::negotiate(offer, codecs, MediaDirection::SendRecv, media_ip).map(Some).map_err(|error| {
        match error {
            NegotiationError::AddressFamily => InviteRejectReason::AddressFamily,
            // Only an answer can mismatch or reject a stream.
            NegotiationError::NoCommonCodec
            | NegotiationError::AnswerMismatch
            | NegotiationError::StreamRejected => InviteRejectReason::NoCommonCodec,
        }
    })
}

/// An INVITE with more than one Via came through a proxy (RFC 3261 section 16.6).
fn media_policy(incoming: &IncomingCall, allowed: &NetworkList) -> MediaPolicy {
    let vias = incoming.request.headers().all(KnownHeader::Via);
    let hops: usize = vias.map(|values| values.split(',').count()).sum();
    MediaPolicy::new(incoming.source.ip(), hops > 1, allowed.clone())
}

fn agent_endpoint(target: &AgentTarget) -> Result<AgentEndpoint, &'static str> {
    match target {
        AgentTarget::Custom { url, protocol: telepath_core::trunk::AgentProtocol::TelepathV1, headers } => {
            Ok(AgentEndpoint { url: url.clone(), headers: headers.clone() })
        }
        AgentTarget::OpenAi { .. } => {
            Err("this version cannot connect to OpenAI; use a custom agent that speaks telepath.v1")
        }
        AgentTarget::ElevenLabs { .. } => {
            Err("this version cannot connect to ElevenLabs; use a custom agent that speaks telepath.v1")
        }
    }
}
