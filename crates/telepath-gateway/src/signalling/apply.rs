//! The commands to the signalling task.

use std::time::Instant;

use telepath_core::call::DisconnectReason;
use telepath_sip::message::StatusCode;
use telepath_sip::{CallHandle, DialogRequest, ReferProgress};
use tokio::sync::oneshot;

use super::{AdmittedCall, InviteState, Signalling};
use crate::command::{CarrierEvent, Command, ReleasedCall};
use crate::disconnect_reason;

impl Signalling {
    pub(super) fn apply(&mut self, command: Command) {
        let now = Instant::now();
        // A command fails when the caller's BYE or CANCEL crossed it; the call learns of that by its own event.
        let _crossed = match command {
            Command::TrunkLookedUp(call, place, trunk) => {
                self.lookups.end(place);
                self.on_trunk_lookup(call, *trunk, now);
                Ok(())
            }
            Command::RejectedInviteLookedUp(invite, place, trunk) => {
                self.lookups.end(place);
                self.on_rejected_invite_lookup(*invite, *trunk, now);
                Ok(())
            }
            Command::TrustNetworks(networks) => {
                self.trusted = *networks;
                Ok(())
            }
            Command::Ring(call) => self.endpoint.ring(call, now),
            Command::Accept(call, sdp) => self.endpoint.accept(call, &sdp, now),
            Command::Reject(call, reason) => {
                self.rejections.record(reason.name(), now);
                self.endpoint.reject_with(call, reason.rejection(), now)
            }
            Command::HangUp(call, reason) => {
                let reason = disconnect_reason::to_reason(reason);
                self.endpoint.hang_up_because(call, Some(reason), now)
            }
            Command::AcceptReInvite(call, sdp) => {
                let accepted = self.endpoint.accept_reinvite(call, &sdp, now);
                let event = if accepted.is_ok() {
                    CarrierEvent::ReInviteAccepted
                } else {
                    CarrierEvent::ReInviteWithdrawn
                };
                self.forward(call, event, now);
                accepted
            }
            Command::RejectReInvite(call, reason) => {
                self.endpoint.reject_reinvite(call, reason.rejection(), now)
            }
            Command::Refer(call, refer) => {
                if self.endpoint.request(call, DialogRequest::Refer(*refer), now).is_err() {
                    let (status, phrase) = (StatusCode::SERVICE_UNAVAILABLE, "not sent".to_owned());
                    self.forward(call, CarrierEvent::Refer(ReferProgress::Refused { status, phrase }), now);
                }
                Ok(())
            }
            Command::Release(call, reply) => {
                self.release(call, reply);
                // The dialog goes on only if the task of the call has panicked.
                let reason = disconnect_reason::to_reason(DisconnectReason::Unknown);
                self.endpoint.hang_up_because(call, Some(reason), now)
            }
            Command::Drain => {
                self.draining = true;
                Ok(())
            }
            Command::Count(reply) => {
                // Fails only when the requester no longer waits.
                let _ = reply.send(self.endpoint.counts());
                Ok(())
            }
            Command::Stop => {
                self.stopped = true;
                Ok(())
            }
        };
    }

    /// Removes a call whose task has ended and returns what is left of it.
    fn release(&mut self, call: CallHandle, reply: oneshot::Sender<ReleasedCall>) {
        let Some(call) = self.calls.remove(&call) else { return };
        if let InviteState::Admitted(AdmittedCall { trunk, proved, .. }) = call.state {
            self.call_counts.remove(trunk, proved);
        }
        // Fails only when the call's supervisor has stopped waiting; the trace is lost then.
        let _ = reply.send(ReleasedCall { trace: call.trace.into_text(), peer_reason: call.peer_reason });
    }
}
