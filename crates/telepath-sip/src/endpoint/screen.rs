//! Screening of an INVITE before it creates state: without it, whoever sends INVITEs with forged addresses fills the tables
//! and has the responses retransmitted to others (RFC 3261 section 26.3.2.4).

use std::net::SocketAddr;

use super::event::InviteRejection;
use crate::digest::Challenge;
use crate::message::Request;

/// Decides whether an INVITE outside a dialog becomes a call.
pub trait InviteScreen {
    /// Called once for each INVITE that could create a call, also for a retransmission of one that was not admitted.
    fn screen(&mut self, invite: &Request, source: SocketAddr) -> InviteScreening;
}

/// The decision about an INVITE.
#[derive(Clone, Debug)]
pub enum InviteScreening {
    /// The INVITE becomes a call, and 100 is sent at once.
    Admit,
    /// The INVITE becomes a call whose sender is not authenticated yet. 100 is sent only if no other response has been sent
    /// after 200 ms (RFC 3261 section 17.2.1). A challenge before that leaves no transaction behind: its sender repeats the
    /// INVITE if the challenge is lost, because it has received no 100.
    AdmitUnauthenticated,
    /// One stateless 401 with these challenges: no 100, no transaction, no trace, no event.
    Challenge(Vec<Challenge>),
    /// One stateless response: no 100, no transaction, no trace, no event. A status below 300 is sent as 500.
    Reject(InviteRejection),
}

/// For an endpoint that trusts its network.
pub(super) struct AdmitEveryInvite;

impl InviteScreen for AdmitEveryInvite {
    fn screen(&mut self, _invite: &Request, _source: SocketAddr) -> InviteScreening {
        InviteScreening::Admit
    }
}
