//! Authentication of an INVITE by source address or digest (RFC 3261 section 22). An unknown user gets the same processing and
//! the same responses as a wrong password.

use std::net::IpAddr;
use std::time::Instant;

use telepath_core::address::AddressBlock;
use telepath_core::trunk::TrunkForCall;
use telepath_sip::CallHandle;
use telepath_sip::digest::{DigestRejectReason, DigestVerification, EpochSeconds, Ha1Pair};

use super::Signalling;
use super::pending_invite::PendingInvite;
use super::refusal::{Refusal, owner_of};
use super::stranger_screen::NO_CREDENTIALS;
use crate::reject_reason::InviteRejectReason;

impl Signalling {
    /// Returns the trunk if the caller's address is in `allowed_ips` or its digest is valid. Otherwise sends a
    /// challenge or a rejection.
    pub(super) fn authenticate(
        &mut self,
        invite: &PendingInvite,
        trunk: Option<TrunkForCall>,
        now: Instant,
    ) -> Option<TrunkForCall> {
        let (call, source) = (invite.incoming.call, invite.incoming.flow.remote.ip());
        let trunk = match trunk {
            Some(trunk) if trunk.trunk.allowed_ips.contains(source) => return Some(trunk),
            other => other,
        };
        let Some(credentials) = &invite.credentials else {
            self.count_attempt(invite, NO_CREDENTIALS);
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
                let owner = owner_of(trunk.as_ref());
                self.refuse(invite, owner.as_slice(), &Refusal::of(InviteRejectReason::UriMismatch), now);
                None
            }
            DigestVerification::Rejected(reason) => {
                self.rejections.record(invite_reason(reason).name(), now);
                let guess = is_password_guess(reason);
                if guess {
                    self.count_stranger(invite.incoming.flow.remote, invite_reason(reason).name());
                } else {
                    self.count_attempt(invite, invite_reason(reason).name());
                }
                // A live nonce proves that the source is not forged, so nobody can have another address throttled.
                let proved = guess && self.digest.has_live_nonce(credentials, source, seconds);
                let owner = owner_of(trunk.as_ref()).filter(|_| proved);
                if proved {
                    let block = AddressBlock::of(source);
                    if self.throttle.is_throttled(block, now) {
                        let refusal = Refusal::of(InviteRejectReason::AuthThrottled);
                        self.refuse(invite, owner.as_slice(), &refusal, now);
                        return None;
                    }
                    self.throttle.record_failure(block, now);
                } else if self.is_return_path_proved(invite) {
                    self.throttle.note_rejection(AddressBlock::of(source), now);
                }
                let trace = self.challenge(call, source, !guess, now);
                // The response and its cost do not depend on whether the user exists; the record is written afterwards.
                if let Some(owner) = owner {
                    self.record_refusal(invite, owner, &Refusal::of(invite_reason(reason)), trace, now);
                }
                None
            }
        }
    }

    /// Returns the trace of the call, which has ended.
    fn challenge(&mut self, call: CallHandle, source: IpAddr, stale: bool, now: Instant) -> String {
        metrics::counter!("telepath_sip_challenges_total").increment(1);
        let seconds = self.epoch();
        let challenges = self.digest.challenge(stale, source, seconds);
        // Fails only when the caller has cancelled.
        let _ = self.endpoint.challenge(call, &challenges, now);
        self.take_trace(call)
    }

    /// Whether the source address cannot be forged: the INVITE came over a connection, or its caller has received a nonce of ours
    /// there.
    pub(super) fn is_return_path_proved(&self, invite: &PendingInvite) -> bool {
        if invite.incoming.flow.transport.is_reliable() {
            return true;
        }
        let (source, now) = (invite.incoming.flow.remote.ip(), self.epoch());
        invite.credentials.as_ref().is_some_and(|given| self.digest.has_live_nonce(given, source, now))
    }

    pub(super) fn epoch(&self) -> EpochSeconds {
        EpochSeconds(u64::try_from(self.shared.clock.now().unix_seconds()).unwrap_or(0))
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
