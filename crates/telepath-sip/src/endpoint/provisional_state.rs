//! The state of reliable provisional responses of a call (RFC 3262).

use std::sync::Arc;
use std::time::Duration;

use super::dialog::Dialog;
use super::flow::ResponseRoute;
use super::timer::TimerId;

/// Our latest reliable provisional response.
pub(super) struct ReliableProvisional {
    pub(super) rseq: u32,
    pub(super) invite_cseq: u32,
    /// While it has no PRACK.
    pub(super) unacknowledged: Option<Unacknowledged>,
}

pub(super) struct Unacknowledged {
    pub(super) payload: Arc<[u8]>,
    pub(super) route: ResponseRoute,
    pub(super) interval: Duration,
    pub(super) retransmit: TimerId,
    pub(super) timeout: TimerId,
}

/// The dialog that a reliable provisional response to our INVITE creates.
pub(super) struct EarlyDialog {
    pub(super) dialog: Dialog,
    pub(super) rseq: u32,
    /// The branch of the latest PRACK.
    pub(super) branch: String,
    pub(super) auth_attempts: u8,
}

impl EarlyDialog {
    pub(super) fn dialog(&self) -> &Dialog {
        &self.dialog
    }
}
