//! Refused calls: every attempt for a trunk that is known by digest over one of our nonces, or by its source address, leaves
//! a record; others are counted as strangers. The records are written after the responses have been sent, so that the time
//! of a response does not tell whether a user exists.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use telepath_core::address::AddressBlock;
use telepath_core::call::{DisconnectReason, Party, SipFacts};
use telepath_core::clock::Timestamp;
use telepath_core::id::{CallId, Id as _};
use telepath_core::ports::ControlUnavailable;
use telepath_core::trunk::{TrunkForCall, TrunkMatch, TrunkOwner};
use telepath_sip::digest::{AuthorizationHeader, Credentials, DigestVerification, Ha1Pair};
use telepath_sip::message::{Request, StatusCode, TelephoneSubscriber};
use telepath_sip::{CallHandle, IncomingCall, redact};

use super::Signalling;
use super::called_number;
use super::pending_invite::{PendingInvite, trunk_lookup};
use super::sip_facts::{carrier, sip_facts};
use crate::call::{self, CallFacts};
use crate::command::{Command, RejectedInvite};
use crate::pending_lookups::{LookupKind, LookupPlace};
use crate::reject_reason::InviteRejectReason;

/// The longest INVITE in the trace of a call that never existed, in bytes.
const MAX_INVITE: usize = 32 * 1024;

/// The rule of an INVITE that its sender cancelled before its trunk was known.
pub(super) const CANCELLED: &str = "cancelled";

/// A rejection of an INVITE whose trunk is known, for its record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) reason: InviteRejectReason,
    pub(super) disconnect_reason: DisconnectReason,
    /// Replaces the description of the reason.
    pub(super) text: Option<&'static str>,
}

impl Refusal {
    pub(super) fn of(reason: InviteRejectReason) -> Self {
        Self { reason, disconnect_reason: DisconnectReason::Rejected, text: None }
    }
}

impl From<InviteRejectReason> for Refusal {
    fn from(reason: InviteRejectReason) -> Self {
        Self::of(reason)
    }
}

/// A refused call that waits to be recorded.
pub(super) struct RefusedCall {
    owner: TrunkOwner,
    invite: Arc<Request>,
    source: SocketAddr,
    arrived: Timestamp,
    rule: &'static str,
    status: StatusCode,
    disconnect_reason: DisconnectReason,
    text: &'static str,
    trace: String,
}

impl Signalling {
    /// Rejects a call of known trunks and leaves a record in each.
    pub(super) fn refuse(
        &mut self,
        invite: &PendingInvite,
        owners: &[&TrunkOwner],
        refusal: Refusal,
        now: Instant,
    ) {
        let trace = self.reject(invite.incoming.call, refusal.reason, now);
        if owners.is_empty() {
            self.count_stranger(invite.incoming.source, refusal.reason.name());
        }
        for owner in owners {
            self.record_refusal(invite, **owner, refusal, trace.clone(), now);
        }
    }

    /// Records a call that was rejected.
    pub(super) fn record_refusal(
        &mut self,
        invite: &PendingInvite,
        owner: TrunkOwner,
        refusal: Refusal,
        trace: String,
        now: Instant,
    ) {
        if self.refusals.take(owner.trunk, now) {
            self.refused.push(RefusedCall {
                owner,
                invite: invite.incoming.request.clone(),
                source: invite.incoming.source,
                arrived: invite.arrived,
                rule: refusal.reason.name(),
                status: refusal.reason.status(),
                disconnect_reason: refusal.disconnect_reason,
                text: refusal.text.unwrap_or_else(|| refusal.reason.describe()),
                trace,
            });
        }
    }

    /// Writes the records of the calls that were refused in this turn.
    pub(super) fn write_refusals(&mut self) {
        for refused in std::mem::take(&mut self.refused) {
            let Ok(id) = CallId::generate(refused.arrived, &*self.shared.entropy) else {
                tracing::error!(
                    "the operating system returned no random bytes; a refused call has no record"
                );
                continue;
            };
            let invite = &refused.invite;
            let party =
                |uri| Party::from_sip_user(&called_number::caller(TelephoneSubscriber::of(uri).as_ref()));
            let facts = CallFacts {
                id,
                account: refused.owner.account,
                trunk: refused.owner.trunk,
                from: party(invite.from().uri()),
                to: party(invite.uri()),
                carrier: Some(carrier(invite, refused.source)),
                arrived: refused.arrived,
                sip: SipFacts {
                    rule: Some(refused.rule.to_owned()),
                    status: Some(refused.status.code()),
                    ..sip_facts(invite, refused.source)
                },
            };
            call::record_rejected(
                &self.shared,
                facts,
                refused.disconnect_reason,
                refused.text,
                refused.trace,
            );
        }
    }

    /// The endpoint rejected an INVITE before it became a call, for example with 415. If its source may be known, its trunk
    /// is looked up.
    pub(super) fn on_rejected_invite(
        &mut self,
        invite: Arc<Request>,
        source: SocketAddr,
        rule: &'static str,
        status: StatusCode,
        now: Instant,
    ) {
        let credentials = match self.digest.read_authorization(&invite) {
            AuthorizationHeader::Credentials(credentials) => Some(credentials),
            AuthorizationHeader::Absent | AuthorizationHeader::Malformed => None,
        };
        let live = |given: &Credentials| self.digest.has_live_nonce(given, source.ip(), self.epoch());
        let known = self.trusted.contains(source.ip()) || credentials.as_deref().is_some_and(live);
        let lookup = trunk_lookup(&invite, source, credentials.as_deref()).filter(|_| known);
        let Some((lookup, place)) = lookup.and_then(|lookup| Some((lookup, self.begin_lookup(source, now)?)))
        else {
            return self.count_stranger(source, rule);
        };
        let arrived = self.shared.clock.now();
        let rejected = Box::new(RejectedInvite { invite, source, arrived, rule, status, credentials });
        self.find_trunk(lookup, move |trunk| {
            Command::RejectedInviteLookedUp(rejected, place, Box::new(trunk))
        });
    }

    /// Takes the budget of a look-up for a record; `None`, and counted, if there is none left.
    fn begin_lookup(&mut self, source: SocketAddr, now: Instant) -> Option<LookupPlace> {
        let kind = LookupKind::Rejected;
        let room = self.lookups.have_room(kind, source.ip())
            && self.refusals.take_lookup(AddressBlock::of(source.ip()), now);
        if !room {
            metrics::counter!("telepath_sip_unrecorded_rejections_total").increment(1);
            return None;
        }
        self.lookups.begin(kind, source.ip())
    }

    /// Records the rejected INVITE if its sender is known by source address or digest.
    pub(super) fn on_rejected_invite_lookup(
        &mut self,
        rejected: RejectedInvite,
        trunk: Result<TrunkMatch, ControlUnavailable>,
        now: Instant,
    ) {
        let RejectedInvite { invite, source, arrived, rule, status, credentials } = rejected;
        let found = match trunk {
            Ok(TrunkMatch::Found(trunk)) => Some(trunk),
            Ok(TrunkMatch::NotFound | TrunkMatch::NumberNotListed(_) | TrunkMatch::AmbiguousNumber(_))
            | Err(_) => None,
        };
        let seconds = self.epoch();
        let known = found.filter(|found| {
            let trusted = found.trunk.allowed_ips.contains(source.ip());
            let ha1 = Ha1Pair::new(*found.digest.md5(), *found.digest.sha256());
            trusted
                || credentials.is_some_and(|given| {
                    let digest = &mut self.digest;
                    digest.verify(&given, &invite, source.ip(), Some(&ha1), seconds)
                        == DigestVerification::Valid
                })
        });
        let Some(owner) = known.and_then(|found| owner_of(Some(&found))) else {
            return self.count_stranger(source, rule);
        };
        if self.refusals.take(owner.trunk, now) {
            let mut text = redact(&invite.to_bytes());
            text.truncate(text.floor_char_boundary(MAX_INVITE));
            let trace = format!(
                "+0.000s received from {source}\n{}\n\n+0.000s sent to {source}\nSIP/2.0 {status} {}\n\n",
                text.trim_end(),
                status.phrase()
            );
            let (disconnect_reason, text) = if rule == CANCELLED {
                (DisconnectReason::NoAnswer, "the caller cancelled the call before its trunk was looked up")
            } else {
                (DisconnectReason::Rejected, "the INVITE cannot be accepted; sip.rule says why")
            };
            let refused =
                RefusedCall { owner, invite, source, arrived, rule, status, disconnect_reason, text, trace };
            self.refused.push(refused);
        }
    }

    /// Counts a request that reached no trunk.
    pub(super) fn count_stranger(&self, source: SocketAddr, rule: &'static str) {
        self.shared.strangers.record(source.ip(), rule, self.shared.clock.now());
    }

    /// Returns the trace of the call, which has ended.
    pub(super) fn reject(&mut self, call: CallHandle, reason: InviteRejectReason, now: Instant) -> String {
        self.rejections.record(reason.name(), now);
        tracing::debug!(%call, reason = reason.name(), "INVITE rejected");
        // Fails only when the caller has cancelled.
        let _ = self.endpoint.reject_with(call, reason.rejection(), now);
        self.take_trace(call)
    }

    /// Rejects a call before its trunk is looked up. If its sender may be known, the trunk is looked up for the record.
    pub(super) fn reject_early(&mut self, incoming: &IncomingCall, reason: InviteRejectReason, now: Instant) {
        self.reject(incoming.call, reason, now);
        self.on_rejected_invite(
            incoming.request.clone(),
            incoming.source,
            reason.name(),
            reason.status(),
            now,
        );
    }

    /// Removes a call that has ended and returns its trace with the final response.
    pub(super) fn take_trace(&mut self, call: CallHandle) -> String {
        self.collect_trace();
        self.calls.remove(&call).map(|call| call.trace.into_text()).unwrap_or_default()
    }
}

/// The owner of a trunk.
pub(super) fn owner_of(trunk: Option<&TrunkForCall>) -> Option<TrunkOwner> {
    trunk.map(|found| TrunkOwner { account: found.trunk.account_id, trunk: found.trunk.id })
}
