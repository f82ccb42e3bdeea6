//! The life of a request: every request passes these functions on the way in, and every response on the way out. They are
//! plain functions around the router instead of a stack of middleware, so nothing is boxed and the order of the steps
//! reads from top to bottom.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::http::header::{ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use telepath_core::clock::{ClockReading, SteadyTime, Timestamp};
use telepath_core::error::ErrorCode;
use telepath_core::id::RequestId;
use telepath_core::limit::WindowState;
use telepath_http::{App, BoxError, Peer, Unreadable};

use super::Api;
use crate::auth::access_log::{AccessLogEntry, RequestHead, ResponseSummary};
use crate::auth::admission::{Admission, AdmissionControl};
use crate::auth::caller::Sender;
use crate::error::ApiError;
use crate::handler::run;
use crate::routes::RouteMatch;
use crate::{headers, idempotency};

/// What is known of a request from its arrival to its response.
struct RequestContext<'a> {
    id: RequestId,
    at: Timestamp,
    steady: SteadyTime,
    started: Instant,
    matched: RouteMatch<'a>,
}

impl Api {
    /// Answers one request. The response is complete: all headers are set, and it is logged and counted.
    pub async fn handle<B>(&self, request: Request<B>, peer: Peer) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        let context = self.open(&parts.method, parts.uri.path());
        let control = self.admission_control(&context);
        let admission = match peer {
            Peer::Remote(address) if is_preflight(&parts) => control.refuse_preflight(address),
            Peer::Remote(_) | Peer::Local { .. } => {
                control.admit(&parts.headers, peer, context.matched, parts.uri.path()).await
            }
        };
        let head = admission.log_entry.as_ref().map(|_| RequestHead::of(&parts, context.matched));
        // No code after this line may see the key.
        parts.headers.remove(AUTHORIZATION);
        let response = match admission.outcome {
            Ok(sender) => self.reach_handler(parts, Body::new(body), &context, sender).await,
            Err(error) => error.into_response(),
        };
        let logged = admission.log_entry.as_ref().zip(head.as_ref());
        self.close(&context, response, admission.window, logged)
    }

    async fn reach_handler(
        &self,
        mut parts: Parts,
        body: Body,
        context: &RequestContext<'_>,
        sender: Sender,
    ) -> Response {
        let router = self.router.clone();
        match idempotency::key_of(&parts, context.matched, &sender) {
            // The handlers of open routes read no sender.
            None if context.matched.open => {}
            None => drop(parts.extensions.insert(sender)),
            Some(Err(error)) => return error.into_response(),
            Some(Ok(key)) => {
                let request = Request::from_parts(parts, body);
                // Boxed, because the future of every request would otherwise be as large as this rare one.
                return Box::pin(idempotency::answer(&self.shared, router, request, key, sender)).await;
            }
        }
        run(router, self.shared.options.request_timeout, Request::from_parts(parts, body)).await
    }

    fn refuse(&self, context: &RequestContext<'_>, admission: Admission, code: ErrorCode) -> Response {
        let error = admission.outcome.err().unwrap_or_else(|| ApiError::of(code));
        self.close(context, error.into_response(), admission.window, None)
    }

    fn open(&self, method: &Method, path: &str) -> RequestContext<'_> {
        let ClockReading { wall: at, steady } = self.shared.store.clock().read();
        RequestContext {
            id: self.shared.request_ids.next(at),
            at,
            steady,
            started: Instant::now(),
            matched: self.shared.routes.find(method, path),
        }
    }

    fn admission_control(&self, context: &RequestContext<'_>) -> AdmissionControl<'_> {
        AdmissionControl { shared: &self.shared, now: context.at, steady: context.steady }
    }

    /// Completes a response: writes the error envelope and the headers, logs the request and counts it.
    fn close(
        &self,
        context: &RequestContext<'_>,
        mut response: Response,
        window: WindowState,
        logged: Option<(&AccessLogEntry, &RequestHead)>,
    ) -> Response {
        let error = response.extensions_mut().remove::<ApiError>().or_else(|| {
            let bare = response.status().is_client_error() || response.status().is_server_error();
            bare.then(|| ApiError::for_status(response.status()))
        });
        if let Some(error) = &error {
            if let Some(refusal) = error.refusal() {
                self.shared.metrics.refused(refusal);
            }
            error.render(context.id, &mut response);
        }
        headers::stamp(response.headers_mut(), context.id, window, context.at);
        let status = response.status().as_u16();
        let took = context.started.elapsed();
        if let Some((entry, head)) = logged {
            let (id, at, matched) = (context.id, context.at, context.matched);
            let error = error.as_ref().map(ApiError::code);
            let summary = ResponseSummary { id, at, matched, status, took, error };
            self.shared.store.requests().record(&entry.answered(head, &summary));
        }
        self.shared.metrics.answered(context.matched, status, took);
        log(context, status, took, logged.map(|(entry, _)| entry), error.as_ref());
        response
    }
}

impl App for Api {
    type Body = Body;

    async fn handle<B>(&self, request: Request<B>, peer: Peer) -> Response
    where
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Api::handle(self, request, peer).await
    }

    fn needs_no_credentials(&self, method: &Method, path: &str) -> bool {
        self.shared.routes.find(method, path).open
    }

    /// Every path below `/v1`, known or not, and the other paths of the API.
    fn serves(&self, path: &str, _headers: &HeaderMap) -> bool {
        let below_version =
            path.strip_prefix("/v1").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        below_version || self.shared.routes.find(&Method::GET, path).template.is_some()
    }

    fn refuse_plain_http(&self, head: &Parts, client: IpAddr) -> Response {
        let context = self.open(&head.method, head.uri.path());
        let admission = self.admission_control(&context).refuse_clear(&head.headers, client);
        self.refuse(&context, admission, ErrorCode::HttpsRequired)
    }

    fn refuse_unreadable(&self, problem: Unreadable, peer: Peer) -> Response {
        let code = match problem {
            Unreadable::Malformed | Unreadable::ConflictingForwarding => ErrorCode::MalformedRequest,
            Unreadable::HeadersTooLarge => ErrorCode::HeadersTooLarge,
            Unreadable::PlainHttp => ErrorCode::HttpsRequired,
        };
        let error = if problem == Unreadable::ConflictingForwarding {
            ApiError::new(code, "The forwarding headers of the proxy are malformed or contradict each other")
        } else {
            ApiError::of(code)
        };
        let context = self.open(&Method::default(), "");
        let control = self.admission_control(&context);
        let admission = match peer {
            Peer::Local { uid } => Admission { outcome: Err(error), ..control.admit_local(uid) },
            Peer::Remote(address) => control.refuse(address, error),
        };
        self.refuse(&context, admission, code)
    }
}

/// Whether a browser asks if a page of another origin may send a request.
fn is_preflight(head: &Parts) -> bool {
    head.method == Method::OPTIONS
        && head.headers.contains_key(ORIGIN)
        && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Logs one event per request: an error with its cause if the server failed. It contains the route's template, never the path,
/// and nothing that the client sent.
fn log(
    context: &RequestContext<'_>,
    status: u16,
    took: Duration,
    entry: Option<&AccessLogEntry>,
    error: Option<&ApiError>,
) {
    macro_rules! event {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                request_id = %context.id,
                method = context.matched.row.map_or("other", |(_, row)| row.verb()),
                route = context.matched.template.unwrap_or("unmatched"),
                status,
                took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                key_id = entry.and_then(|entry| entry.caller.key()).map(tracing::field::display),
                user_id = entry.and_then(|entry| entry.caller.user()).map(tracing::field::display),
                error = error.map(|error| error.code().name()),
                cause = error.and_then(ApiError::internal_text),
                $message
            )
        };
    }
    if status >= 500 {
        event!(error, "request failed");
    } else {
        event!(debug, "request");
    }
}
