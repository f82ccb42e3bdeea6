//! INVITEs that are rejected before their trunk is known: by the endpoint, for example with 415 or because they cannot be parsed,
//! or because the server is full. If the sender may be known, the trunk is looked up for the record; all others are counted.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use telepath_core::address::AddressBlock;
use telepath_core::call::DisconnectReason;
use telepath_core::call::sip_trace::{SipDirection, append_message};
use telepath_core::ports::ControlUnavailable;
use telepath_core::trunk::{TrunkForCall, TrunkMatch, TrunkOwner};
use telepath_sip::digest::{AuthorizationHeader, Credentials, DigestVerification, Ha1Pair};
use telepath_sip::message::{Method, StatusCode};
use telepath_sip::{IncomingCall, ReceivedInvite};

use super::Signalling;
use super::called_number::CalledUsers;
use super::pending_invite::trunk_lookup;
use super::refusal::{RefusedCall, ambiguous_owners, most_likely, owner_of};
use crate::command::{Command, RejectedInvite};
use crate::pending_lookups::{LookupKind, LookupPlace};
use crate::reject_reason::InviteRejectReason;

/// The longest INVITE in the trace of a call that never existed, in bytes.
const MAX_INVITE: usize = 32 * 1024;

/// The rule of an INVITE that its sender cancelled before its trunk was known.
pub(super) const CANCELLED: &str = "cancelled";

impl Signalling {
    /// Rejects a call before its trunk is looked up.
    pub(super) fn reject_early(&mut self, incoming: &IncomingCall, reason: InviteRejectReason, now: Instant) {
        self.reject(incoming.call, reason, now);
        let invite = incoming.request.clone().into();
        self.on_rejected_invite(invite, incoming.flow.remote, reason.name(), Some(reason.status()), now);
    }

    /// An INVITE was rejected before its trunk was looked up. If its source may be known, that is done now.
    pub(super) fn on_rejected_invite(
        &mut self,
        invite: ReceivedInvite,
        source: SocketAddr,
        rule: &'static str,
        status: Option<StatusCode>,
        now: Instant,
    ) {
        let credentials = match self.digest.read_authorization(invite.headers()) {
            AuthorizationHeader::Credentials(credentials) => Some(credentials),
            AuthorizationHeader::Absent | AuthorizationHeader::Malformed => None,
        };
        let live = |given: &Credentials| self.digest.has_live_nonce(given, source.ip(), self.epoch());
        let known = self.trusted.contains(source.ip()) || credentials.as_deref().is_some_and(live);
        let called = CalledUsers::of(&invite);
        let lookup = trunk_lookup(&called, source, credentials.as_deref()).filter(|_| known);
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
        let room = self.lookups.have_room(kind, source.ip(), now)
            && self.refusals.take_lookup(AddressBlock::of(source.ip()), now);
        if !room {
            metrics::counter!("telepath_sip_unrecorded_rejections_total").increment(1);
            return None;
        }
        self.lookups.begin(kind, source.ip(), now)
    }

    /// Records the rejected INVITE if its sender is known by source address or digest.
    pub(super) fn on_rejected_invite_lookup(
        &mut self,
        rejected: RejectedInvite,
        trunk: Result<TrunkMatch, ControlUnavailable>,
        now: Instant,
    ) {
        let owners: Vec<TrunkOwner> = match trunk {
            Ok(TrunkMatch::Found(found)) if self.is_known(&rejected, &found) => {
                owner_of(Some(&found)).into_iter().collect()
            }
            Ok(TrunkMatch::NumberNotListed(trunks)) => {
                let called = CalledUsers::of(&rejected.invite);
                most_likely(&trunks, &called).map(|trunk| trunk.owner).into_iter().collect()
            }
            Ok(TrunkMatch::AmbiguousNumber(owners)) => ambiguous_owners(owners),
            Ok(TrunkMatch::Found(_) | TrunkMatch::NotFound) | Err(_) => Vec::new(),
        };
        let RejectedInvite { invite, source, arrived, rule, status, credentials: _ } = rejected;
        if owners.is_empty() {
            return self.count_stranger(source, rule);
        }
        self.shared.strangers.take_back(self.attempt_of(invite.headers(), source));
        let (disconnect_reason, text) = describe(&invite, rule);
        for owner in owners {
            if self.refusals.take(owner.trunk, now) {
                let (invite, text) = (invite.clone(), text.clone());
                let trace = trace(&invite, source, status);
                self.refused.push(RefusedCall {
                    owner,
                    invite,
                    source,
                    arrived,
                    rule,
                    status,
                    disconnect_reason,
                    text,
                    trace,
                });
            }
        }
    }

    /// Whether the trunk trusts the source, or the INVITE has its valid digest.
    fn is_known(&mut self, rejected: &RejectedInvite, found: &TrunkForCall) -> bool {
        let source = rejected.source.ip();
        if found.trunk.allowed_ips.contains(source) {
            return true;
        }
        let (Some(given), Some(uri)) = (&rejected.credentials, rejected.invite.uri()) else { return false };
        let ha1 = Ha1Pair::new(*found.digest.md5(), *found.digest.sha256());
        let seconds = self.epoch();
        let signed = (&Method::Invite, uri);
        self.digest.verify_parts(given, signed, source, Some(&ha1), seconds) == DigestVerification::Valid
    }
}

fn describe(invite: &ReceivedInvite, rule: &str) -> (DisconnectReason, Cow<'static, str>) {
    if rule == CANCELLED {
        let text = "the caller cancelled the call before its trunk was looked up";
        return (DisconnectReason::NoAnswer, Cow::Borrowed(text));
    }
    let text = match invite.syntax_error() {
        Some(error) => Cow::Owned(format!("the INVITE cannot be parsed: {error}")),
        None => Cow::Borrowed("the INVITE cannot be accepted; sip.rule says why"),
    };
    (DisconnectReason::Rejected, text)
}

/// The trace of a call that never existed: the INVITE and the status of its response.
fn trace(invite: &ReceivedInvite, source: SocketAddr, status: Option<StatusCode>) -> String {
    let mut text = invite.text();
    text.truncate(text.floor_char_boundary(MAX_INVITE));
    let mut trace = String::new();
    append_message(&mut trace, Duration::ZERO, SipDirection::Received, source, &text);
    trace.push_str("\n\n");
    if let Some(status) = status {
        let phrase = invite.syntax_error().filter(|_| status == StatusCode::BAD_REQUEST);
        let phrase = phrase.map_or_else(|| status.phrase().to_owned(), |error| error.to_string());
        let response = format!("SIP/2.0 {status} {phrase}");
        append_message(&mut trace, Duration::ZERO, SipDirection::Sent, source, &response);
        trace.push_str("\n\n");
    }
    trace
}
