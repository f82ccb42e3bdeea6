//! Requests that cannot be parsed: they get 400 or 505, if what a response needs can be read (RFC 3261 section 21.4.1).

use std::sync::Arc;
use std::time::Instant;

use super::Endpoint;
use super::dialog::DialogKey;
use super::event::Event;
use super::flow::Flow;
use super::received_invite::MalformedInvite;
use super::reject_reason::RejectReason;
use crate::message::{MalformedRequest, MalformedResponse, ResponseTemplate, StatusCode};

impl Endpoint {
    pub(super) fn receive_malformed(
        &mut self,
        flow: Flow,
        request: MalformedRequest,
        bytes: &[u8],
        now: Instant,
    ) {
        if let Some(call) = DialogKey::of_headers(&request.headers).and_then(|key| self.dialogs.get(&key)) {
            self.trace.belongs_to(*call);
        }
        let error = request.error();
        let (reason, status) = match &request.response {
            Some(response) => {
                let reason = RejectReason::Malformed(error);
                self.respond_to_malformed(response, reason, &error.to_string(), flow, now);
                (reason, Some(response.status))
            }
            None => (RejectReason::Unanswerable(error), None),
        };
        let invite = MalformedInvite::of(request, bytes).map(|invite| Arc::new(invite).into());
        let call = self.trace.current_call();
        self.report(Event::Rejected { reason, source: flow.remote, status, invite, call });
    }

    fn respond_to_malformed(
        &mut self,
        response: &MalformedResponse,
        reason: RejectReason,
        phrase: &str,
        flow: Flow,
        now: Instant,
    ) {
        let template = ResponseTemplate::of_malformed(response, flow.remote);
        let phrase = (response.status == StatusCode::BAD_REQUEST).then_some(phrase);
        self.respond_malformed(&template, response.status, phrase, reason, flow, now);
    }
}
