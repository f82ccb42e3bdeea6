//! The screen in front of the SIP endpoint: an INVITE becomes a call only with one of our live nonces, which proves that
//! its source address is not forged, or from a network that a trunk trusts, and only while few others of its source are
//! being looked up. Every other INVITE gets one stateless response and is counted; nothing is stored, looked up or logged
//! for it.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use telepath_core::address::AddressBlock;
use telepath_core::clock::Timestamp;
use telepath_core::network_set::NetworkSet;
use telepath_sip::digest::{AuthorizationHeader, DigestServer, EpochSeconds};
use telepath_sip::message::{KnownHeader, Request};
use telepath_sip::{InviteScreen, InviteScreening};

use super::auth_throttle::AuthThrottle;
use super::rejection_log::RejectionLog;
use crate::pending_lookups::{LookupKind, PendingLookups};
use crate::reject_reason::InviteRejectReason;
use crate::strangers::{Attempt, StrangerTable};

/// The rule that counts an INVITE without credentials, until its sender authenticates.
pub(super) const NO_CREDENTIALS: &str = "no_credentials";

pub(super) struct StrangerScreen<'a> {
    pub(super) digest: &'a mut DigestServer,
    pub(super) trusted: &'a NetworkSet,
    pub(super) lookups: &'a PendingLookups,
    pub(super) throttle: &'a AuthThrottle,
    pub(super) rejections: &'a mut RejectionLog,
    pub(super) strangers: &'a StrangerTable,
    pub(super) epoch: EpochSeconds,
    pub(super) now: Instant,
    pub(super) at: Timestamp,
}

impl InviteScreen for StrangerScreen<'_> {
    fn screen(&mut self, invite: &Request, source: SocketAddr) -> InviteScreening {
        let source = source.ip();
        let call_id = invite.headers().first(KnownHeader::CallId).unwrap_or_default();
        let attempt = self.strangers.attempt(source, call_id);
        if self.trusted.contains(source) {
            return self.admit(LookupKind::TrustedSource, source, attempt);
        }
        let stale = match self.digest.read_authorization(invite.headers()) {
            AuthorizationHeader::Malformed => {
                return self.reject(InviteRejectReason::MalformedCredentials, attempt);
            }
            AuthorizationHeader::Credentials(credentials)
                if self.digest.has_live_nonce(&credentials, source, self.epoch) =>
            {
                return self.admit(live_nonce_kind(self.throttle, source, self.now), source, attempt);
            }
            // A client with the right password retries at once when the nonce is stale (RFC 7616 section 3.3).
            AuthorizationHeader::Credentials(_) => {
                let reason = InviteRejectReason::ForeignNonce;
                self.rejections.record(reason.name(), self.now);
                self.strangers.record_attempt(attempt, reason.name(), self.at);
                true
            }
            AuthorizationHeader::Absent => {
                self.strangers.record_attempt(attempt, NO_CREDENTIALS, self.at);
                false
            }
        };
        metrics::counter!("telepath_sip_challenges_total").increment(1);
        InviteScreening::Challenge(self.digest.challenge(stale, source, self.epoch))
    }
}

impl StrangerScreen<'_> {
    fn admit(&mut self, kind: LookupKind, source: IpAddr, attempt: Attempt) -> InviteScreening {
        if self.lookups.have_room(kind, source, self.now) {
            InviteScreening::AdmitUnauthenticated
        } else {
            self.reject(InviteRejectReason::LookupsFull, attempt)
        }
    }

    fn reject(&mut self, reason: InviteRejectReason, attempt: Attempt) -> InviteScreening {
        self.rejections.record(reason.name(), self.now);
        self.strangers.record_attempt(attempt, reason.name(), self.at);
        InviteScreening::Reject(reason.rejection())
    }
}

/// The kind of the look-up for an INVITE with a live nonce.
pub(super) fn live_nonce_kind(throttle: &AuthThrottle, source: IpAddr, now: Instant) -> LookupKind {
    if throttle.has_failed(AddressBlock::of(source), now) {
        LookupKind::RejectedBefore
    } else {
        LookupKind::LiveNonce
    }
}
