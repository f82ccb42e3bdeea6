//! The screen in front of the SIP endpoint: an INVITE becomes a call only with one of our live nonces, which proves that
//! its source address is not forged, or from a network that a trunk trusts, and only while few others of its source are
//! being looked up. Every other INVITE gets one stateless response and is counted; nothing is stored, looked up or logged
//! for it.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use telepath_core::clock::Timestamp;
use telepath_core::network_set::NetworkSet;
use telepath_sip::digest::{AuthorizationHeader, DigestServer, EpochSeconds};
use telepath_sip::message::Request;
use telepath_sip::{InviteScreen, InviteScreening};

use super::rejection_log::RejectionLog;
use crate::pending_lookups::{LookupKind, PendingLookups};
use crate::reject_reason::InviteRejectReason;
use crate::strangers::StrangerTable;

/// The rule that counts a first INVITE. It is taken back when its sender authenticates.
pub(super) const NO_CREDENTIALS: &str = "no_credentials";

pub(super) struct StrangerScreen<'a> {
    pub(super) digest: &'a mut DigestServer,
    pub(super) trusted: &'a NetworkSet,
    pub(super) lookups: &'a PendingLookups,
    pub(super) rejections: &'a mut RejectionLog,
    pub(super) strangers: &'a StrangerTable,
    pub(super) epoch: EpochSeconds,
    pub(super) now: Instant,
    pub(super) at: Timestamp,
}

impl InviteScreen for StrangerScreen<'_> {
    fn screen(&mut self, invite: &Request, source: SocketAddr) -> InviteScreening {
        let source = source.ip();
        if self.trusted.contains(source) {
            return self.admit(LookupKind::TrustedSource, source);
        }
        let stale = match self.digest.read_authorization(invite) {
            AuthorizationHeader::Malformed => {
                return self.reject(InviteRejectReason::MalformedCredentials, source);
            }
            AuthorizationHeader::Credentials(credentials)
                if self.digest.has_live_nonce(&credentials, source, self.epoch) =>
            {
                return self.admit(LookupKind::LiveNonce, source);
            }
            // A client with the right password retries at once when the nonce is stale (RFC 7616 section 3.3).
            AuthorizationHeader::Credentials(_) => {
                let reason = InviteRejectReason::ForeignNonce;
                self.rejections.record(reason.name(), self.now);
                self.strangers.record(source, reason.name(), self.at);
                true
            }
            AuthorizationHeader::Absent => {
                self.strangers.record(source, NO_CREDENTIALS, self.at);
                false
            }
        };
        metrics::counter!("telepath_sip_challenges_total").increment(1);
        InviteScreening::Challenge(self.digest.challenge(stale, source, self.epoch))
    }
}

impl StrangerScreen<'_> {
    fn admit(&mut self, kind: LookupKind, source: IpAddr) -> InviteScreening {
        if self.lookups.have_room(kind, source) {
            InviteScreening::AdmitUnauthenticated
        } else {
            self.reject(InviteRejectReason::LookupsFull, source)
        }
    }

    fn reject(&mut self, reason: InviteRejectReason, source: IpAddr) -> InviteScreening {
        self.rejections.record(reason.name(), self.now);
        self.strangers.record(source, reason.name(), self.at);
        InviteScreening::Reject(reason.rejection())
    }
}
