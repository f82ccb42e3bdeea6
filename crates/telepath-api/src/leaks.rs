//! Keys that are not secret any more: whoever holds one may report it, and a secret-scanning partner may send signed lists
//! of what it found. Neither learns from the answer whether a key was one, nor from how long the answer takes.

mod published;

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRef as _, State};
use axum::http::{HeaderMap, HeaderName, Request, StatusCode};
use serde_json::{Value, json};
use telepath_core::account::Actor;
use telepath_core::audit::Origin;
use telepath_core::error::ErrorCode;
use telepath_core::leak::{FoundSecret, LeakReportDraft};
use telepath_core::secret::{PlainKey, SecretText};
use telepath_store::KeyHandle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::{AppState, Shared};
use crate::auth::caller::Visitor;
use crate::error::ApiError;
use crate::json::{BodyTimeout, StrictJson, read_body};

const SIGNED_BY: HeaderName = HeaderName::from_static("github-public-key-identifier");
const SIGNATURE: HeaderName = HeaderName::from_static("github-public-key-signature");
/// Reports whose keys are being revoked at the same time.
pub(crate) const REPORTS_AT_ONCE: usize = 64;
/// How long a revocation waits before it is tried again, when the storage does not answer.
const AGAIN_AFTER: [std::time::Duration; 3] = [
    std::time::Duration::from_secs(1),
    std::time::Duration::from_secs(5),
    std::time::Duration::from_secs(25),
];

pub(crate) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(report_leak))
        .routes(routes!(secret_scanning))
        .merge(published::router())
}

/// A key whose secret was reported, and why it is to be revoked.
struct Leaked {
    handle: KeyHandle,
    reason: String,
}

/// Report leaked keys
///
/// Anybody who holds a key may end it: every key of this server among the secrets that still works is revoked at once. The answer is
/// the same whatever was sent. At most 10 reports a minute are taken from one address.
#[utoipa::path(post, path = "/v1/keys/report-leak", tag = "Keys", operation_id = "reportLeak",
    request_body = LeakReportDraft,
    responses((status = 202, description = "The report is taken.", body = Object)))]
async fn report_leak(
    State(state): State<AppState>,
    visitor: Visitor,
    StrictJson(draft): StrictJson<LeakReportDraft>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let secrets = draft.check()?;
    let reason = || "Reported as leaked by somebody who holds it".to_owned();
    burn(&state, visitor, secrets.into_iter().map(|secret| (secret, reason())))
}

/// Take a list of a secret-scanning partner
///
/// The list is signed over the body as it is sent: `Github-Public-Key-Signature` is the base64 of an ECDSA signature (P-256, SHA-256)
/// in ASN.1 form by the key that `Github-Public-Key-Identifier` names among those of the setting `leaks.signing_keys_file`. Without
/// that setting there is no such route. Every key that was found and still works is revoked at once.
#[utoipa::path(post, path = "/v1/keys/secret-scanning", tag = "Keys", operation_id = "secretScanning",
    request_body = Vec<FoundSecret>,
    params(
        ("Github-Public-Key-Identifier" = String, Header, description = "Names the signing key."),
        ("Github-Public-Key-Signature" = String, Header, description = "The signature in base64.")
    ),
    responses((status = 202, description = "The list is taken.", body = Object)))]
async fn secret_scanning(
    State(state): State<AppState>,
    visitor: Visitor,
    request: Request<Body>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let keys = state.options.signing_keys.clone().ok_or_else(|| ApiError::of(ErrorCode::NotFound))?;
    let unsigned = || ApiError::of(ErrorCode::InvalidSignature);
    let name = only(request.headers(), &SIGNED_BY).ok_or_else(unsigned)?;
    let signature = only(request.headers(), &SIGNATURE).ok_or_else(unsigned)?;
    let body = read_body(request, BodyTimeout::from_ref(&state)).await?;
    if !keys.have_signed(&name, &signature, &body) {
        return Err(unsigned());
    }
    // What the partner adds to its form one day is no reason to leave a leaked key alive.
    let found: Vec<FoundSecret> = serde_json::from_slice(&body)
        .map_err(|_| ApiError::new(ErrorCode::InvalidJson, "The body is not a list of found secrets"))?;
    burn(&state, visitor, found.into_iter().map(|found| (found.reason(), found.token)).map(|(r, t)| (t, r)))
}

/// The value of a header that must be there once.
fn only(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?.to_owned();
    values.next().is_none().then_some(value)
}

/// Finds the keys, and leaves their revocation to a task: an answer that waited for it would tell that there was one.
fn burn(
    shared: &Arc<Shared>,
    visitor: Visitor,
    secrets: impl Iterator<Item = (SecretText, String)>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let permit = Arc::clone(&shared.leaks.at_once)
        .try_acquire_owned()
        .map_err(|_| ApiError::unavailable("too many leak reports are being worked on"))?;
    let leaked: Vec<Leaked> = secrets
        .filter_map(|(secret, reason)| {
            let key = PlainKey::parse(secret.expose().as_bytes()).ok()?;
            let hash = shared.store.vault().hash_key(&key);
            let handle =
                shared.store.keys().find(&hash).filter(|handle| handle.is_live(&hash, visitor.at))?;
            Some(Leaked { handle, reason })
        })
        .collect();
    let origin = Origin { actor: Actor::System, address: visitor.address, at: visitor.at, idempotency: None };
    let work = revoke(Arc::clone(shared), leaked, origin, permit);
    shared.leaks.tasks.spawn(work);
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}

async fn revoke(shared: Arc<Shared>, leaked: Vec<Leaked>, origin: Origin, permit: OwnedSemaphorePermit) {
    for Leaked { handle, reason } in leaked {
        let (account, key) = (handle.account_id(), handle.key_id());
        let mut pauses = AGAIN_AFTER.into_iter();
        while let Err(error) = shared.store.revoke_leaked_key(account, key, reason.clone(), origin).await {
            tracing::error!(%key, %error, "a leaked key could not be revoked; revoke it by hand");
            let Some(pause) = pauses.next() else { break };
            tokio::time::sleep(pause).await;
        }
    }
    drop(permit);
}

/// Revokes a key that was sent in clear, if its account wants that. When too many are, the alert has to do.
pub(crate) fn seen_in_clear(shared: &Arc<Shared>, handle: &KeyHandle, origin: Origin) {
    let (account, key) = (handle.account_id(), handle.key_id());
    let Ok(permit) = Arc::clone(&shared.leaks.at_once).try_acquire_owned() else {
        tracing::error!(%key, "a key was sent in clear while too many leaks are being worked on");
        return;
    };
    let shared = Arc::clone(shared);
    shared.leaks.tasks.clone().spawn(async move {
        if let Err(error) = shared.store.revoke_seen_in_clear(account, key, origin).await {
            tracing::error!(%key, %error, "a key that was sent in clear could not be revoked; revoke it by hand");
        }
        drop(permit);
    });
}

/// What is being done about leaks.
pub(crate) struct Leaks {
    at_once: Arc<Semaphore>,
    tasks: tokio_util::task::TaskTracker,
}

impl Leaks {
    pub(crate) fn new() -> Self {
        Self {
            at_once: Arc::new(Semaphore::new(REPORTS_AT_ONCE)),
            tasks: tokio_util::task::TaskTracker::new(),
        }
    }

    /// Waits until everything that was taken on is done.
    pub(crate) async fn settle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
