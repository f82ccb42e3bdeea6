//! Idempotency: every authenticated `POST` may carry an `Idempotency-Key` and is then carried out at most once. This wraps
//! the handlers, so a handler only passes the claim on to the store, as part of the origin of its change.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::FromRef as _;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use telepath_core::error::ErrorCode;
use telepath_core::id::IdempotencyId;
use telepath_core::idempotency::{
    ClaimDecision, IdempotencyKey, MAX_STORED_BODY, RequestHash, StoredResponse,
};
use telepath_store::{IdempotencyClaim, IdempotentRequest};

use crate::auth::caller::{AccountGrant, Sender};
use crate::error::ApiError;
use crate::extract::json::{BodyTimeout, read_body};
use crate::handler::run;
use crate::routes::{Access, RouteMatch};
use crate::state::Shared;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The `Idempotency-Key` of a request. `None` if it has none, if its handler will refuse it, or if it changes nothing.
pub(crate) fn key_of(
    parts: &Parts,
    matched: RouteMatch<'_>,
    sender: &Sender,
) -> Option<Result<IdempotencyKey, ApiError>> {
    let (_, row) = matched.row.filter(|_| parts.method == Method::POST)?;
    let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
    let value = values.next()?;
    match row.access {
        Access::Scope(scope) if !sender.grant.as_ref().is_some_and(|grant| grant.scopes.allows(scope)) => {
            return None;
        }
        Access::Scope(_) | Access::AnyKey | Access::Local => {}
        Access::Probe | Access::Open | Access::Reporter | Access::Partner => return None,
    }
    if values.next().is_some() {
        return Some(Err(ApiError::invalid("Idempotency-Key", "must be given only once")));
    }
    let key = IdempotencyKey::parse(value.as_bytes());
    Some(key.map_err(|problem| ApiError::invalid("Idempotency-Key", problem.to_string())))
}

/// Handles a request with an `Idempotency-Key`.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    router: Router,
    request: Request<Body>,
    key: IdempotencyKey,
    sender: Sender,
) -> Response {
    begin(shared, router, request, key, sender).await.unwrap_or_else(ApiError::into_response)
}

async fn begin(
    shared: &Arc<Shared>,
    router: Router,
    request: Request<Body>,
    key: IdempotencyKey,
    mut sender: Sender,
) -> Result<Response, ApiError> {
    let (caller, AccountGrant { account, .. }) =
        sender.identity().ok_or_else(|| ApiError::of(ErrorCode::MissingApiKey))?;
    let (mut parts, body) = request.into_parts();
    let head = Request::from_parts(parts.clone(), body);
    let body = read_body(head, BodyTimeout::from_ref(shared)).await?;
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let hash = RequestHash::of(parts.method.as_str(), path, &body);
    let once = IdempotentRequest { account, caller, key, request: hash };
    match shared.store.begin_idempotent_request(once, sender.at).await? {
        IdempotencyClaim::Before(decision) => before(decision),
        IdempotencyClaim::Fresh(id) => {
            sender.idempotency = Some(id);
            parts.extensions.insert(sender);
            let request = Request::from_parts(parts, Body::from(body));
            let shared = Arc::clone(shared);
            // Spawned, so that it completes when the client disconnects: the client's retry must get the result.
            let work = tokio::spawn(async move {
                let response = run(router, shared.options.request_timeout, request).await;
                end(&shared, id, response).await
            });
            work.await.unwrap_or_else(|error| {
                Err(ApiError::internal_because("an idempotent request ended without a response", &error))
            })
        }
    }
}

fn before(decision: ClaimDecision) -> Result<Response, ApiError> {
    match decision {
        ClaimDecision::Replay(answer) => replay(answer),
        ClaimDecision::Reused => Err(ApiError::of(ErrorCode::IdempotencyKeyReused)),
        // A claim that could be taken over was taken over.
        ClaimDecision::InUse | ClaimDecision::TakeOver => Err(ApiError::of(ErrorCode::IdempotencyKeyInUse)),
        ClaimDecision::Lost(None) => Err(ApiError::of(ErrorCode::IdempotencyResponseLost)),
        ClaimDecision::Lost(Some(target)) => Err(ApiError::new(
            ErrorCode::IdempotencyResponseLost,
            format!(
                "The first request with this Idempotency-Key was carried out on {target}, but its response is no \
                 longer stored"
            ),
        )),
    }
}

fn replay(answer: StoredResponse) -> Result<Response, ApiError> {
    let broken = |error: &dyn std::error::Error| {
        ApiError::internal_because("a stored response cannot be replayed", error)
    };
    let mut response = Response::new(Body::from(answer.body.clone()));
    *response.status_mut() = StatusCode::from_u16(answer.status).map_err(|error| broken(&error))?;
    let headers = response.headers_mut();
    if !answer.body.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(location) = answer.location {
        let location = HeaderValue::try_from(location).map_err(|error| broken(&error))?;
        headers.insert(LOCATION, location);
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// Ends the attempt. Only successful responses are stored: a refused request has changed nothing, so it can be sent again.
async fn end(shared: &Shared, id: IdempotencyId, response: Response) -> Result<Response, ApiError> {
    let (parts, body) = response.into_parts();
    // It is in memory already, and the only copy of the secrets in it.
    let body = body
        .collect()
        .await
        .map_err(|error| ApiError::internal_because("the body of a response ended early", &error))?
        .to_bytes();
    let location = parts.headers.get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let kept = if parts.status.is_success() && body.len() <= MAX_STORED_BODY {
        StoredResponse::of(parts.status.as_u16(), location, &body)
    } else {
        None
    };
    if let Err(error) = shared.store.end_idempotent_request(id, kept).await {
        // The claim was marked in the transaction of the change, so nothing can be carried out twice.
        tracing::warn!(%error, "could not store a response for its Idempotency-Key; a repetition of the request will fail with IDEMPOTENCY_RESPONSE_LOST");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}
