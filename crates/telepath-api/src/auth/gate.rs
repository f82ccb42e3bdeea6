//! The gate: every request passes it on the way in and every answer on the way out, whatever happens in between. It is a
//! plain `async fn` around the router instead of a stack of middleware, so nothing is boxed on the way and the order of
//! the steps can be read from top to bottom.

use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::http::header::{AUTHORIZATION, CONNECTION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use telepath_core::account::Actor;
use telepath_core::address::canonical;
use telepath_core::alert::SecuritySignal;
use telepath_core::audit::Origin;
use telepath_core::clock::Timestamp;
use telepath_core::error::ErrorCode;
use telepath_core::id::RequestId;
use telepath_core::limit::{Phase, Take, WindowState};
use telepath_core::scope::ScopeSet;
use telepath_core::secret::{HashedKey, PlainKey};
use telepath_store::{Admission, KeyHandle};

use super::caller::{Caller, Visitor};
use super::credentials::Credential;
use super::proxy::{self, Way};
use super::run::run;
use super::tally::{Outcome, Tally, Trace};
use crate::api::Api;
use crate::error::ApiError;
use crate::meters::Refusal;
use crate::once;
use crate::routes::{self, RouteMatch};
use crate::{headers, leaks};

/// Which door a request came through, and from which address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Over TLS from this address, which may be a trusted proxy's.
    Tls(IpAddr),
    /// Over plain HTTP on a loopback address.
    Loopback(IpAddr),
    /// Through the socket in the data folder: whoever can open it may do everything.
    Local,
}

/// A request that is being answered.
struct Exchange {
    id: RequestId,
    at: Timestamp,
    started: Instant,
    matched: RouteMatch,
}

/// Who comes in.
enum Guest {
    /// Somebody with a key, or local administration.
    Caller(Caller),
    /// Somebody without one, to whom it matters from where they come.
    Visitor(Visitor),
    /// Anybody, on an open route.
    Anybody,
}

/// What was decided at the door.
struct Entry {
    window: WindowState,
    tally: Option<Tally>,
    outcome: Result<Guest, ApiError>,
}

impl Api {
    /// Answers one request. The answer is complete: all headers are set and everything is counted.
    pub async fn handle<B>(&self, request: Request<B>, peer: Peer) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        let exchange = self.open_exchange(&parts.method, parts.uri.path());
        let entry = self.admit(&parts.headers, peer, &exchange, parts.uri.path()).await;
        let trace = entry.tally.as_ref().map(|_| Trace::of(&parts, exchange.matched));
        // Nothing after this point may see the key.
        parts.headers.remove(AUTHORIZATION);
        let response = match entry.outcome {
            Ok(guest) => self.reach_handler(parts, Body::new(body), &exchange, guest).await,
            Err(error) => error.into_response(),
        };
        self.close_exchange(&exchange, response, entry.window, entry.tally.as_ref().zip(trace.as_ref()))
    }

    async fn reach_handler(
        &self,
        mut parts: Parts,
        body: Body,
        exchange: &Exchange,
        guest: Guest,
    ) -> Response {
        let router = self.router.clone();
        match guest {
            Guest::Anybody => {}
            Guest::Visitor(visitor) => drop(parts.extensions.insert(visitor)),
            Guest::Caller(caller) => match once::key_of(&parts, exchange.matched, &caller) {
                None => drop(parts.extensions.insert(caller)),
                Some(Err(error)) => return error.into_response(),
                Some(Ok(key)) => {
                    let request = Request::from_parts(parts, body);
                    // On the heap, or the future of every request would be as large as this one.
                    return Box::pin(once::answer(&self.shared, router, request, key, caller)).await;
                }
            },
        }
        run(router, self.shared.options.request_timeout, Request::from_parts(parts, body)).await
    }

    /// Answers a request that came over plain HTTP to the TLS port. The connection must be closed after it.
    pub(crate) fn refuse_in_clear(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Response {
        let exchange = self.open_exchange(method, path);
        let entry = self.refuse_clear(headers, canonical(peer), exchange.at);
        let response = match entry.outcome {
            Ok(_) => ApiError::of(ErrorCode::HttpsRequired).into_response(),
            Err(error) => error.into_response(),
        };
        let mut response = self.close_exchange(&exchange, response, entry.window, None);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }

    /// Answers what could not be read as a request. The connection must be closed after it.
    pub(crate) fn refuse_unreadable(&self, code: ErrorCode, peer: Peer) -> Response {
        let exchange = self.open_exchange(&Method::default(), "");
        let entry = match peer {
            Peer::Local => Entry { outcome: Err(ApiError::of(code)), ..self.admit_local(exchange.at) },
            Peer::Tls(address) | Peer::Loopback(address) => {
                self.refuse(canonical(address), exchange.at, ApiError::of(code))
            }
        };
        let error = entry.outcome.err().unwrap_or_else(|| ApiError::of(code));
        let mut response = self.close_exchange(&exchange, error.into_response(), entry.window, None);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }

    fn open_exchange(&self, method: &Method, path: &str) -> Exchange {
        let at = self.shared.store.clock().now();
        Exchange {
            id: self.shared.request_ids.next(at),
            at,
            started: Instant::now(),
            matched: routes::find(method, path),
        }
    }

    async fn admit(&self, headers: &HeaderMap, peer: Peer, exchange: &Exchange, path: &str) -> Entry {
        let now = exchange.at;
        let address = match peer {
            Peer::Local => return self.admit_local(now),
            Peer::Tls(address) | Peer::Loopback(address) => address,
        };
        let address = match proxy::judge(address, headers, &self.shared.options.trusted_proxies) {
            Way::Safe(address) => address,
            Way::InClear(address) => return self.refuse_clear(headers, address, now),
        };
        if exchange.matched.open {
            let window = self.shared.store.addresses().peek(address, now);
            Entry { window, tally: None, outcome: Ok(Guest::Anybody) }
        } else if exchange.matched.reporter {
            self.admit_reporter(address, now)
        } else if path == "/v1" || path.starts_with("/v1/") {
            self.admit_key(headers, address, now).await
        } else {
            self.refuse(address, now, ApiError::of(ErrorCode::NotFound))
        }
    }

    async fn admit_key(&self, headers: &HeaderMap, address: IpAddr, now: Timestamp) -> Entry {
        let invalid = |refusal| ApiError::of(ErrorCode::InvalidApiKey).counted(refusal);
        let key = match Credential::of(headers) {
            Credential::Key(key) => key,
            Credential::Missing => {
                let error = ApiError::of(ErrorCode::MissingApiKey).counted(Refusal::Missing);
                return self.refuse(address, now, error);
            }
            Credential::Malformed => return self.refuse(address, now, invalid(Refusal::Malformed)),
        };
        let (hash, handle) = self.look_up(&key);
        let Some(handle) = handle else { return self.refuse(address, now, invalid(Refusal::Unknown)) };
        match self.shared.store.admit(&handle, &hash, address, now).await {
            Admission::Admitted { scopes, window } => {
                let (actor, account) = (Actor::Key(handle.key_id()), handle.account_id());
                let tally = Some(Tally::new(&handle, &hash, address, true));
                let caller = Caller {
                    actor,
                    key: Some(handle),
                    account,
                    scopes,
                    address: Some(address),
                    at: now,
                    idempotency: None,
                };
                Entry { window, tally, outcome: Ok(Guest::Caller(caller)) }
            }
            Admission::Limited { window } => {
                let outcome = Err(limited(window, now, Refusal::KeyLimit));
                Entry { window, tally: Some(Tally::new(&handle, &hash, address, true)), outcome }
            }
            Admission::WrongAddress => {
                let error = ApiError::of(ErrorCode::IpNotAllowed).counted(Refusal::Address);
                let tally = Some(Tally::new(&handle, &hash, address, false));
                Entry { tally, ..self.refuse(address, now, error) }
            }
            // Never fail open: who cannot be judged or counted is not admitted.
            Admission::Unsure => {
                self.unable(address, now, "what became of a change of this key is not known yet")
            }
            Admission::NoLease => {
                self.unable(address, now, "the database has not confirmed which keys are good")
            }
            Admission::Uncounted => self.unable(address, now, "the key's window could not be counted"),
            Admission::Dead => {
                self.shared.store.notice(SecuritySignal::DeadKeyUsed { key: handle.key_id(), address });
                let tally = Some(Tally::new(&handle, &hash, address, false));
                Entry { tally, ..self.refuse(address, now, invalid(Refusal::Dead)) }
            }
        }
    }

    /// Refuses for a reason that is our trouble, so that nobody's window pays for it.
    fn unable(&self, address: IpAddr, now: Timestamp, why: &'static str) -> Entry {
        let window = self.shared.store.addresses().peek(address, now);
        Entry { window, tally: None, outcome: Err(ApiError::unavailable(why)) }
    }

    fn look_up(&self, key: &PlainKey) -> (HashedKey, Option<KeyHandle>) {
        let hash = self.shared.store.vault().hash_key(key);
        (hash, self.shared.store.keys().find(&hash))
    }

    /// Local administration has a window of its own, so that a runaway script is noticed.
    fn admit_local(&self, now: Timestamp) -> Entry {
        let mut window = self.shared.local_window.lock().unwrap_or_else(PoisonError::into_inner);
        match window.take(self.shared.options.local_limit, Phase::default(), now) {
            Take::Admitted(window) => {
                let account = self.shared.options.local_account;
                let (actor, scopes) = (Actor::Local, ScopeSet::all());
                let caller =
                    Caller { actor, key: None, account, scopes, address: None, at: now, idempotency: None };
                Entry { window, tally: None, outcome: Ok(Guest::Caller(caller)) }
            }
            Take::Full(window) => {
                Entry { window, tally: None, outcome: Err(limited(window, now, Refusal::KeyLimit)) }
            }
        }
    }

    /// Those who report leaks need no key, and so have a window that leaves nobody room to try keys out.
    fn admit_reporter(&self, address: IpAddr, now: Timestamp) -> Entry {
        match self.shared.reporters.take(address, now) {
            Take::Admitted(window) => {
                let visitor = Visitor { address: Some(address), at: now };
                Entry { window, tally: None, outcome: Ok(Guest::Visitor(visitor)) }
            }
            Take::Full(window) => {
                Entry { window, tally: None, outcome: Err(limited(window, now, Refusal::AddressLimit)) }
            }
        }
    }

    /// Refuses somebody without a usable key, at the expense of the address's own window.
    fn refuse(&self, address: IpAddr, now: Timestamp, error: ApiError) -> Entry {
        match self.shared.store.addresses().take(address, now) {
            Take::Admitted(window) => Entry { window, tally: None, outcome: Err(error) },
            Take::Full(window) => {
                Entry { window, tally: None, outcome: Err(limited(window, now, Refusal::AddressLimit)) }
            }
        }
    }

    /// Refuses a request that was readable on its way. If it carried a real key, somebody may have read that too.
    fn refuse_clear(&self, headers: &HeaderMap, address: IpAddr, now: Timestamp) -> Entry {
        if !address.is_loopback()
            && let Credential::Key(key) = Credential::of(headers)
        {
            let (hash, handle) = self.look_up(&key);
            let key_id = handle.as_ref().map(KeyHandle::key_id);
            tracing::warn!(
                %address,
                key_id = key_id.map_or_else(|| "unknown".to_owned(), |id| id.to_string()),
                "an API key was sent in clear; treat it as leaked and revoke it"
            );
            if let Some(handle) = handle.filter(|handle| handle.is_live(&hash, now)) {
                self.shared.store.notice(SecuritySignal::SeenInClear { key: handle.key_id(), address });
                leaks::seen_in_clear(&self.shared, &handle, Origin::system(Some(address), now));
            }
        }
        self.refuse(address, now, ApiError::of(ErrorCode::HttpsRequired).counted(Refusal::NotHttps))
    }

    fn close_exchange(
        &self,
        exchange: &Exchange,
        mut response: Response,
        window: WindowState,
        known: Option<(&Tally, &Trace)>,
    ) -> Response {
        let error = response.extensions_mut().remove::<ApiError>().or_else(|| {
            let bare = response.status().is_client_error() || response.status().is_server_error();
            bare.then(|| ApiError::for_status(response.status()))
        });
        if let Some(error) = &error {
            if let Some(refusal) = error.refusal() {
                self.shared.meters.refused(refusal);
            }
            error.render(exchange.id, &mut response);
        }
        headers::stamp(response.headers_mut(), exchange.id, window, exchange.at);
        let status = response.status().as_u16();
        let took = exchange.started.elapsed();
        if let Some((tally, trace)) = known {
            let (id, at, matched) = (exchange.id, exchange.at, exchange.matched);
            let outcome =
                Outcome { id, at, matched, status, took, error: error.as_ref().map(ApiError::code) };
            self.shared.store.requests().record(&tally.answered(trace, &outcome));
        }
        self.shared.meters.answered(exchange.matched, status, took);
        log(exchange, status, took, known.map(|(tally, _)| tally), error.as_ref());
        response
    }
}

fn limited(window: WindowState, now: Timestamp, refusal: Refusal) -> ApiError {
    ApiError::rate_limited(window.limit.get(), window.seconds_until_reset(now)).counted(refusal)
}

/// One event per request. It names the route's template, never the path, and nothing that the caller sent.
fn log(exchange: &Exchange, status: u16, took: Duration, tally: Option<&Tally>, error: Option<&ApiError>) {
    macro_rules! event {
        ($level:ident) => {
            tracing::$level!(
                request_id = %exchange.id,
                method = exchange.matched.row.map_or("other", |row| routes::ROUTES[row].verb()),
                route = exchange.matched.template.unwrap_or("unmatched"),
                status,
                took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                key_id = tally.map(|tally| tracing::field::display(tally.key)),
                error = error.map(|error| error.code().name()),
                cause = error.and_then(ApiError::internal_text),
                "request"
            )
        };
    }
    if status >= 500 {
        event!(info);
    } else {
        event!(debug);
    }
}
