//! An INVITE whose trunk is being looked up, and which trunk it may be for.

use std::net::SocketAddr;
use std::time::Instant;

use telepath_core::clock::Timestamp;
use telepath_core::trunk::{SipUsername, TrunkForCall, TrunkLookup};
use telepath_sip::IncomingCall;
use telepath_sip::digest::Credentials;

use super::called_number::CalledUsers;

/// An INVITE whose trunk is being looked up.
pub(super) struct PendingInvite {
    pub(super) incoming: Box<IncomingCall>,
    pub(super) credentials: Option<Box<Credentials>>,
    pub(super) arrived: Timestamp,
    pub(super) arrived_at: Instant,
}

/// What the INVITE says about its trunk; `None` if its credentials have a name that no trunk can have. A carrier that dials
/// by number names the trunk in its credentials only, or not at all.
pub(super) fn trunk_lookup(
    called: &CalledUsers,
    source: SocketAddr,
    credentials: Option<&Credentials>,
) -> Option<TrunkLookup> {
    let credentials = match credentials {
        Some(credentials) => Some(SipUsername::try_from(credentials.username().to_owned()).ok()?),
        None => None,
    };
    Some(TrunkLookup {
        source: source.ip(),
        credentials,
        called_user: called.username(),
        called_numbers: called.numbers(),
        calls_a_number: called.are_numbers(),
    })
}

/// Whether the Request-URI names this trunk by its user name, or names no trunk and the trunk is known by the caller's
/// credentials or source address.
pub(super) fn is_addressed_to(invite: &PendingInvite, trunk: &TrunkForCall) -> bool {
    let called = CalledUsers::of_request(&invite.incoming.request);
    let trunk = &trunk.trunk;
    let known = invite.credentials.is_some() || trunk.allowed_ips.contains(invite.incoming.flow.remote.ip());
    let user = invite.incoming.called();
    let named = user.is_some_and(|user| user.name().eq_ignore_ascii_case(trunk.sip_username.as_str()));
    named || (known && called.names_no_trunk())
}
