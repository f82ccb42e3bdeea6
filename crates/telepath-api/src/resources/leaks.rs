//! Reports of leaked keys, by anyone who holds one and by secret-scanning partners, which sign their lists. Neither the
//! response nor its timing reveals whether a secret was a key.

mod published;

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRef as _, State};
use axum::http::{HeaderMap, HeaderName, Request, StatusCode};
use serde_json::{Value, json};
use telepath_api_types::leaks::{FoundSecret, LeakReport};
use telepath_core::error::ErrorCode;
use telepath_core::leak::{self, ExposedSecret, ExposureCause, ExposureReport, LeakReportDraft};
use telepath_core::secret::{PlainKey, SecretText, find_keys};
use telepath_store::ExposureError;

use crate::auth::caller::{Partner, Sender};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::{BodyTimeout, ReportedKeys, read_body};
use crate::state::{AppState, Shared};

const SIGNED_BY: HeaderName = HeaderName::from_static("github-public-key-identifier");
const SIGNATURE: HeaderName = HeaderName::from_static("github-public-key-signature");

pub(crate) fn endpoints() -> Endpoints {
    endpoints![report_leak => [MissingRequired], secret_scanning => [InvalidSignature, NotFound]]
        .merge(published::endpoints())
}

/// Report leaked keys
///
/// Revokes every valid key of this server that is found in the secrets by its published pattern, whatever surrounds it: quotes, JSON, a
/// URL, line breaks. Needs no API key. The report is stored before the response, and the response is the same whatever the secrets are.
/// Limited to 10 reports per minute and address.
#[utoipa::path(post, path = "/v1/keys/report-leak", tag = "Keys", operation_id = "reportLeak",
    request_body = LeakReport,
    responses((status = 202, description = "The report is accepted.", body = Object)))]
async fn report_leak(
    State(state): State<AppState>,
    sender: Sender,
    ReportedKeys(draft): ReportedKeys<LeakReport>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let secrets = LeakReportDraft::from(draft).check()?;
    let reason = || "Reported as leaked by somebody who holds it".to_owned();
    record(&state, sender, secrets.into_iter().map(|secret| (secret, reason()))).await
}

/// Report leaked keys as a secret-scanning partner
///
/// The raw body is signed: `Github-Public-Key-Signature` is the base64 of an ECDSA signature (P-256, SHA-256, ASN.1) by the key that
/// `Github-Public-Key-Identifier` names in the file of the setting `leaks.signing_keys_file`. Without that setting, the route does not
/// exist. Revokes every valid key in the list; the list is stored before the response. Limited to 600 lists per minute and address,
/// apart from other reports.
#[utoipa::path(post, path = "/v1/keys/secret-scanning", tag = "Keys", operation_id = "secretScanning",
    request_body = Vec<FoundSecret>,
    params(
        ("Github-Public-Key-Identifier" = String, Header, description = "Names the signing key."),
        ("Github-Public-Key-Signature" = String, Header, description = "The signature in base64.")
    ),
    responses((status = 202, description = "The list is accepted.", body = Object)))]
async fn secret_scanning(
    State(state): State<AppState>,
    Partner(sender): Partner,
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
    // Members that the partner may add later are ignored, so that a leaked key is revoked all the same.
    let found: Vec<FoundSecret> = serde_json::from_slice(&body)
        .map_err(|_| ApiError::new(ErrorCode::InvalidJson, "The body is not a list of found secrets"))?;
    record(
        &state,
        sender,
        found.into_iter().map(leak::FoundSecret::from).map(|found| {
            let reason = found.reason();
            (found.token, reason)
        }),
    )
    .await
}

/// The value of a header that must be present exactly once.
fn only(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?.to_owned();
    values.next().is_none().then_some(value)
}

/// Stores what was reported before it is answered. Every well-formed key is stored as its hash, whether or not it is a key of
/// this server, so that the time that this takes reveals nothing.
async fn record(
    shared: &Shared,
    sender: Sender,
    texts: impl Iterator<Item = (SecretText, String)>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let mut secrets = Vec::new();
    for (text, reason) in texts {
        let keys = find_keys(text.expose().as_bytes());
        let exposed = |key: PlainKey| ExposedSecret {
            hash: shared.store.vault().hash_key(&key),
            reason: reason.clone(),
        };
        secrets.extend(keys.map(exposed));
    }
    let report =
        ExposureReport { cause: ExposureCause::Reported, secrets, address: sender.address, at: sender.at };
    shared.store.record_exposure(report).await.map_err(|error| match error {
        ExposureError::Full => ApiError::unavailable("too many leak reports are being processed"),
        ExposureError::Store(error) => error.into(),
    })?;
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}
