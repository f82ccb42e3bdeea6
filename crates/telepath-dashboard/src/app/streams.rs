//! Streams of server-sent events, and files that are made while they are sent.

use std::sync::Arc;

use http::Method;
use http::request::Parts;

use super::Dashboard;
use crate::download::Download;
#[cfg(test)]
use crate::live::LiveStreams;
use crate::live::{Live, Viewer};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Handler, Outcome, Route};
use crate::visit::Visit;
use crate::{cookie, csrf};

impl Dashboard {
    /// Opens a stream for the user who asked for it. A page of another origin cannot read it, and must not take a place either.
    pub(super) fn open(&self, live: Live, route: &Route, head: &Parts, visit: &Visit) -> Outcome {
        if head.method != Method::GET || !csrf::is_same_origin(&head.headers, &visit.origin) {
            return Err(Problem::ForeignForm);
        }
        let viewer = self.viewer(route, head, visit)?;
        Ok(Reply::events(self.shared.streams.open(live, viewer)?))
    }

    /// Begins a file for the user who asked for it. It takes a place as a stream does, so a page of another origin must not begin
    /// one; an address that the user typed may.
    pub(super) fn download(&self, file: Download, route: &Route, head: &Parts, visit: &Visit) -> Outcome {
        if head.method != Method::GET
            || !(csrf::is_typed(&head.headers) || csrf::is_same_origin(&head.headers, &visit.origin))
        {
            return Err(Problem::ForeignForm);
        }
        let viewer = self.viewer(route, head, visit)?;
        let Download { disposition, media_type, run } = file;
        Ok(Reply::parts(disposition, media_type, self.shared.streams.start(viewer, None, run)?))
    }

    fn viewer(&self, route: &Route, head: &Parts, visit: &Visit) -> Result<Viewer, Problem> {
        let (Some(caller), Some(token)) = (&visit.session, cookie::session_token(&head.headers, visit.https))
        else {
            return Err(Problem::Forbidden);
        };
        Ok(Viewer {
            store: Arc::clone(&self.shared.store),
            token,
            session: caller.session.id,
            account: caller.session.account,
            scope: match &route.handler {
                Handler::User(scope, _) => *scope,
                Handler::Open(_) => None,
            },
        })
    }

    #[cfg(test)]
    pub(crate) fn streams(&self) -> &LiveStreams {
        &self.shared.streams
    }

    /// Ends the streams of all pages, and opens none any more. For a server that stops.
    pub fn end_streams(&self) {
        self.shared.streams.stop();
    }
}
