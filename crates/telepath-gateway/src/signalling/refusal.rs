//! Refused calls: every attempt for a trunk that is known by digest over one of our nonces, or by its source address, leaves
//! a record; others are counted as strangers. The records are written after the responses have been sent, so that the time
//! of a response does not tell whether a user exists.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Instant;

use telepath_core::call::{DisconnectReason, Party, SipFacts};
use telepath_core::clock::Timestamp;
use telepath_core::id::{CallId, Id as _};
use telepath_core::trunk::{E164, TrunkForCall, TrunkNumbers, TrunkOwner};
use telepath_sip::message::{Headers, KnownHeader, StatusCode, TelephoneSubscriber, Uri};
use telepath_sip::{CallHandle, ReceivedInvite};

use super::Signalling;
use super::called_number::{self, CalledUsers};
use super::pending_invite::PendingInvite;
use super::sip_facts::{carrier, sip_facts};
use crate::call::{self, CallFacts};
use crate::reject_reason::InviteRejectReason;
use crate::strangers::Attempt;

/// A rejection of an INVITE whose trunk is known, for its record.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: InviteRejectReason,
    pub(super) disconnect_reason: DisconnectReason,
    /// Replaces the description of the reason.
    pub(super) text: Option<Cow<'static, str>>,
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
    pub(super) owner: TrunkOwner,
    pub(super) invite: ReceivedInvite,
    pub(super) source: SocketAddr,
    pub(super) arrived: Timestamp,
    pub(super) rule: &'static str,
    /// The status of the response, if there was one.
    pub(super) status: Option<StatusCode>,
    pub(super) disconnect_reason: DisconnectReason,
    pub(super) text: Cow<'static, str>,
    pub(super) trace: String,
}

impl Signalling {
    /// Rejects a call of known trunks and leaves a record in each.
    pub(super) fn refuse(
        &mut self,
        invite: &PendingInvite,
        owners: &[TrunkOwner],
        refusal: &Refusal,
        now: Instant,
    ) {
        let trace = self.reject(invite.incoming.call, refusal.reason, now);
        if owners.is_empty() {
            self.count_attempt(invite, refusal.reason.name());
        }
        for owner in owners {
            self.record_refusal(invite, *owner, refusal, trace.clone(), now);
        }
    }

    /// Records a call that was rejected.
    pub(super) fn record_refusal(
        &mut self,
        invite: &PendingInvite,
        owner: TrunkOwner,
        refusal: &Refusal,
        trace: String,
        now: Instant,
    ) {
        if self.refusals.take(owner.trunk, now) {
            self.refused.push(RefusedCall {
                owner,
                invite: invite.incoming.request.clone().into(),
                source: invite.incoming.flow.remote,
                arrived: invite.arrived,
                rule: refusal.reason.name(),
                status: Some(refusal.reason.status()),
                disconnect_reason: refusal.disconnect_reason,
                text: refusal.text.clone().unwrap_or(Cow::Borrowed(refusal.reason.describe())),
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
            let party = |uri: Option<&Uri>| {
                Party::from_sip_user(&called_number::caller(uri.and_then(TelephoneSubscriber::of).as_ref()))
            };
            let facts = CallFacts {
                id,
                account: refused.owner.account,
                trunk: refused.owner.trunk,
                from: party(invite.from()),
                to: party(invite.uri()),
                carrier: Some(carrier(invite.headers(), refused.source)),
                arrived: refused.arrived,
                sip: SipFacts {
                    rule: Some(refused.rule.to_owned()),
                    status: refused.status.map(StatusCode::code),
                    ..sip_facts(invite.headers(), refused.source)
                },
            };
            call::record_rejected(
                &self.shared,
                facts,
                refused.disconnect_reason,
                &refused.text,
                refused.trace,
            );
        }
    }

    /// Counts a request that reached no trunk.
    pub(super) fn count_stranger(&self, source: SocketAddr, rule: &'static str) {
        self.shared.strangers.record(source.ip(), rule, self.shared.clock.now());
    }

    /// Counts an INVITE whose sender may still authenticate.
    pub(super) fn count_attempt(&self, invite: &PendingInvite, rule: &'static str) {
        let attempt = self.attempt_of(invite.incoming.request.headers(), invite.incoming.flow.remote);
        self.shared.strangers.record_attempt(attempt, rule, self.shared.clock.now());
    }

    /// The attempt to call to which an INVITE belongs.
    pub(super) fn attempt_of(&self, invite: &Headers, source: SocketAddr) -> Attempt {
        let call_id = invite.first(KnownHeader::CallId).unwrap_or_default();
        self.shared.strangers.attempt(source.ip(), call_id)
    }

    /// Returns the trace of the call, which has ended.
    pub(super) fn reject(&mut self, call: CallHandle, reason: InviteRejectReason, now: Instant) -> String {
        self.rejections.record(reason.name(), now);
        tracing::debug!(%call, reason = reason.name(), "INVITE rejected");
        // Fails only when the caller has cancelled.
        let _ = self.endpoint.reject_with(call, reason.rejection(), now);
        self.take_trace(call)
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

/// The trunk that has the number in international form, or else the first one, if all belong to one account: a call that may
/// be meant for several accounts is shown to none.
pub(super) fn most_likely<'a>(trunks: &'a [TrunkNumbers], called: &CalledUsers) -> Option<&'a TrunkNumbers> {
    let first = trunks.first()?;
    let likely = trunks.iter().find(|trunk| called.are_national(&trunk.numbers));
    let alone = trunks.iter().all(|trunk| trunk.owner.account == first.owner.account);
    alone.then_some(likely.unwrap_or(first))
}

/// The refusal of a number that is in none of these.
pub(super) fn number_not_listed(called: &CalledUsers, numbers: &[E164]) -> Refusal {
    let national = called.are_national(numbers);
    let reason =
        if national { InviteRejectReason::NationalNumber } else { InviteRejectReason::NumberNotListed };
    Refusal { text: Some(Cow::Owned(called.explain_unlisted(numbers))), ..Refusal::of(reason) }
}

/// One owner of each account.
pub(super) fn ambiguous_owners(mut owners: Vec<TrunkOwner>) -> Vec<TrunkOwner> {
    owners.sort_by_key(|owner| owner.account);
    owners.dedup_by_key(|owner| owner.account);
    owners
}
