//! Screening of an INVITE before it creates state: without it, whoever sends INVITEs with forged addresses fills the tables
//! and has the responses retransmitted to others (RFC 3261 section 26.3.2.4).

use std::net::SocketAddr;

use crate::digest::Challenge;
use crate::message::{Request, StatusCode};

/// Decides whether an INVITE outside a dialog becomes a call.
pub trait InviteScreen {
    /// Called once for each INVITE that could create a call, also for a retransmission of one that was not admitted.
    fn screen(&mut self, invite: &Request, source: SocketAddr) -> InviteScreening;
}

/// The decision about an INVITE.
#[derive(Clone, Debug)]
pub enum InviteScreening {
    /// The INVITE becomes a call.
    Admit,
    /// One stateless 401 with these challenges: no 100, no transaction, no trace, no event.
    Challenge(Vec<Challenge>),
    /// One stateless response with this status, which must be at least 300.
    Reject(StatusCode),
}

/// For an endpoint that trusts its network.
pub(super) struct AdmitEveryInvite;

impl InviteScreen for AdmitEveryInvite {
    fn screen(&mut self, _invite: &Request, _source: SocketAddr) -> InviteScreening {
        InviteScreening::Admit
    }
}
