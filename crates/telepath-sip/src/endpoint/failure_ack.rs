//! The ACK of a rejected re-INVITE (RFC 3261 section 17.1.1.3).

use std::sync::Arc;

use crate::message::{Headers, KnownHeader, Method, RequestWriter, Response, Uri, Via};

/// What the ACK of a rejected re-INVITE repeats of it (section 17.1.1.3).
pub(super) struct FailureAck {
    pub(super) uri: Uri,
    pub(super) via: Via,
    pub(super) routes: Headers,
    pub(super) from: String,
    pub(super) call_id: String,
    pub(super) cseq: u32,
}

impl FailureAck {
    pub(super) fn write(&self, response: &Response) -> Arc<[u8]> {
        RequestWriter {
            method: Method::Ack,
            uri: &self.uri,
            via: &self.via,
            from: &self.from,
            to: response.headers().first(KnownHeader::To).unwrap_or_default(),
            call_id: &self.call_id,
            cseq: self.cseq,
            headers: self.routes.clone(),
            body: &[],
        }
        .write()
    }
}
