//! A transfer that has no result yet.

use crate::transfer_limits::TransferPermit;

pub(super) struct PendingTransfer {
    /// Whether the carrier has accepted the REFER.
    pub(super) accepted: bool,
    /// Its place among the transfers of the trunk.
    #[expect(dead_code, reason = "it is held until the transfer has its result")]
    pub(super) permit: TransferPermit,
}
