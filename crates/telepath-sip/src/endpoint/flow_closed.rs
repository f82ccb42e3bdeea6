//! The end of a connection (RFC 3261 section 18.4): the requests that wait for a response over it have failed. Calls go on:
//! their next request opens a connection of its own.

use std::time::Instant;

use super::Endpoint;
use super::call::CallState;
use super::client_key::ClientKey;
use super::event::{CallHandle, DialogEnd};
use super::flow::{Flow, FlowId};
use super::method_class::ClientMethod;

impl Endpoint {
    /// Processes the end of a connection, or the failure to open one. Nothing may arrive over it afterwards.
    pub fn handle_flow_closed(&mut self, flow: &Flow, now: Instant) {
        let mut failed: Vec<ClientKey> = self.flows.close(flow.id).into_iter().collect();
        failed.sort_by(|a, b| a.branch.cmp(&b.branch));
        for key in failed {
            let call = self.client_end(&key).and_then(|tx| tx.call);
            match (key.method, call) {
                (ClientMethod::Invite, Some(call)) => {
                    self.on_request_lost(call, &key, now);
                    self.fail_invite(call, DialogEnd::ConnectionFailed, now);
                }
                (
                    ClientMethod::Update | ClientMethod::Info | ClientMethod::Options | ClientMethod::Refer,
                    Some(call),
                ) => self.on_request_lost(call, &key, now),
                (ClientMethod::Bye, Some(call)) => self.on_bye_lost(call, flow, now),
                (ClientMethod::Cancel | ClientMethod::Prack, Some(_)) | (_, None) => {}
            }
        }
    }

    /// A BYE over a connection that the peer opened is sent again over one of our own, so that the call does not go on at the
    /// peer.
    fn on_bye_lost(&mut self, handle: CallHandle, flow: &Flow, now: Instant) {
        let end = match (flow.id, self.calls.get(&handle).map(|call| &call.state)) {
            (FlowId::Accepted(_), Some(CallState::Ending(end))) => end.clone(),
            (FlowId::Accepted(_) | FlowId::Opened(_) | FlowId::Datagrams, _) => {
                return self.on_bye_done(handle, false, now);
            }
        };
        self.send_bye(handle, end, now);
    }
}
