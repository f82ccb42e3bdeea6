//! Blind transfer of a call by REFER (RFC 3515), for the agent, within the outbound rules of the trunk. The call goes
//! on until the carrier reports that the target has answered; if it does not, caller and agent simply go on talking.

use std::time::Instant;

use telepath_core::call::DisconnectReason;
use telepath_core::trunk::CallTarget;
use telepath_media::dialect::TransferFailure;
use telepath_sip::message::Uri;
use telepath_sip::{ReferProgress, ReferRequest};

use super::pending_transfer::PendingTransfer;
use super::task::{CallPhase, CallTask};
use crate::command::Command;
use crate::transfer_limits::TransferPermit;

impl CallTask<'_> {
    /// Sends REFER if the rules permit it.
    pub(super) async fn transfer(&mut self, target: &str, now: Instant) {
        match self.begin_transfer(target, now) {
            Ok((uri, permit)) => {
                self.pending_transfer = Some(PendingTransfer { accepted: false, permit });
                let refer = Box::new(ReferRequest { target: uri, referred_by: true });
                self.send_command(Command::Refer(self.handle, refer)).await;
            }
            Err((failure, message)) => self.report_transfer_failure(failure, &message, now),
        }
    }

    fn begin_transfer(
        &self,
        target: &str,
        now: Instant,
    ) -> Result<(Uri, TransferPermit), (TransferFailure, String)> {
        let not_allowed = |message: String| (TransferFailure::NotAllowed, message);
        if self.phase != CallPhase::Connected {
            return Err((TransferFailure::Failed, "the call is not connected".to_owned()));
        }
        if self.pending_transfer.is_some() {
            return Err((TransferFailure::Failed, "another transfer has no result yet".to_owned()));
        }
        let target = CallTarget::parse(target).map_err(|error| not_allowed(format!("\"to\" {error}")))?;
        self.outbound.permit(&target).map_err(|error| not_allowed(error.to_string()))?;
        let uri =
            Uri::parse(target.uri()).ok_or_else(|| not_allowed("\"to\" is no SIP or tel URI".to_owned()))?;
        let permit = self.shared.transfer_limits.begin(self.facts.trunk, &self.outbound, now);
        let full = "the trunk has reached outbound.max_concurrent or outbound.max_per_minute";
        Ok((uri, permit.ok_or_else(|| not_allowed(full.to_owned()))?))
    }

    pub(super) async fn on_refer(&mut self, progress: ReferProgress, now: Instant) {
        let Some(pending) = &mut self.pending_transfer else { return };
        let failure = match progress {
            ReferProgress::Accepted | ReferProgress::Trying(_) => {
                pending.accepted = true;
                return;
            }
            ReferProgress::Succeeded | ReferProgress::Unreported => {
                return self.end(DisconnectReason::Transferred, None, now).await;
            }
            ReferProgress::Refused { status, phrase } => {
                format!("the carrier refused the transfer: {status} {phrase}")
            }
            ReferProgress::Failed { status, phrase } => {
                format!("the carrier could not reach the target: {status} {phrase}")
            }
            ReferProgress::NoResult => "the carrier did not report a result".to_owned(),
        };
        self.pending_transfer = None;
        self.report_transfer_failure(TransferFailure::Failed, &failure, now);
    }

    /// Some carriers hang up as soon as they have accepted the REFER, without a NOTIFY.
    pub(super) fn is_transferred_by_bye(&self) -> bool {
        self.pending_transfer.as_ref().is_some_and(|pending| pending.accepted)
    }

    fn report_transfer_failure(&mut self, failure: TransferFailure, message: &str, now: Instant) {
        let code = failure.code();
        metrics::counter!("telepath_transfers_failed_total", "reason" => code).increment(1);
        tracing::warn!(call = %self.facts.id, trunk = %self.facts.trunk, code, "a transfer failed: {message}; the call continues");
        self.bridge.handle_transfer_failed(failure, message, now);
    }
}
