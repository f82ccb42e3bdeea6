//! Rotation of one key or of all keys, and the early end of a grace period.

use axum::Json;
use axum::extract::State;
use telepath_api_types::keys::{CreatedKey, Key, RotateKey, RotateKeys, RotatedKeys};
use telepath_core::error::ErrorCode;
use telepath_core::id::{KeyId, SecretId};
use telepath_core::key::{Bound, RotateAllDraft, RotateDraft};
use telepath_store::RotateAllError;

use super::{change_error, with_secret};
use crate::auth::caller::{Authorized, AuthorizedWithin, KeysWrite};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::{NoMembers, OptionalJson};
use crate::extract::path::{PathId, PathIds};
use crate::state::AppState;

/// The most keys that an error message names.
const NAMED: usize = 10;

pub(super) fn endpoints() -> Endpoints {
    endpoints![rotate_key => [TooManySecrets], end_secret => [SecretIsCurrent], rotate_all_keys => [TooManySecrets, TooManyKeys]]
}

impl From<RotateAllError> for ApiError {
    fn from(error: RotateAllError) -> Self {
        match error {
            RotateAllError::Escalation(why) => Self::new(ErrorCode::InsufficientScope, why.to_string()),
            RotateAllError::Beyond { keys, bound } => {
                let beyond = match bound {
                    Bound::Key => format!("{} more rights than {bound}", named(&keys)),
                    Bound::Role => format!("{bound} does not manage {}", list(&keys)),
                };
                Self::new(ErrorCode::InsufficientScope, format!("No key was rotated: {beyond}"))
            }
            RotateAllError::TooManySecrets(keys) => Self::new(
                ErrorCode::TooManySecrets,
                format!("No key was rotated: {} the maximum number of valid secrets", named(&keys)),
            ),
            RotateAllError::TooManyKeys => Self::of(ErrorCode::TooManyKeys),
            RotateAllError::Store(error) => error.into(),
        }
    }
}

/// `key_1, key_2 have`, `12 keys, among them …, have`.
fn named(keys: &[KeyId]) -> String {
    match keys {
        [one] => format!("{one} has"),
        _ => format!("{} have", list(keys)),
    }
}

fn list(keys: &[KeyId]) -> String {
    let names: Vec<_> = keys.iter().take(NAMED).map(ToString::to_string).collect();
    if keys.len() <= NAMED {
        names.join(", ")
    } else {
        format!("{} keys, among them {},", keys.len(), names.join(", "))
    }
}

/// Rotate a key
///
/// The key keeps its id, scopes, counters and rate window, and gets a new secret. Its other secrets stay valid for `grace_seconds`, but
/// no longer than they already would be; with 0 they stop working before the response. At most 5 secrets of a key are valid at the
/// same time; one more is refused with `TOO_MANY_SECRETS`.
#[utoipa::path(post, path = "/v1/keys/{id}/rotate", tag = "Keys", operation_id = "rotateKey",
    request_body(content = Option<RotateKey>),
    params(("id" = String, Path, description = "The key's id.")),
    responses((status = 200, description = "The key with its new secret. The secret is shown only here.", body = CreatedKey)))]
async fn rotate_key(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<KeysWrite>,
    PathId(id): PathId<KeyId>,
    OptionalJson(draft): OptionalJson<RotateKey>,
) -> Result<Json<CreatedKey>, ApiError> {
    let grace = RotateDraft::from(draft).check()?;
    let rotated = state.store.rotate_key(caller.account, id, grace, caller.origin()).await;
    Ok(Json(with_secret(&rotated.map_err(change_error(id))?, caller.at)))
}

/// Revoke an old secret
///
/// Ends its grace period before the response. The newest secret cannot be revoked: rotate or revoke the key instead. Revoking a secret
/// again changes nothing.
#[utoipa::path(post, path = "/v1/keys/{id}/secrets/{secret_id}/revoke", tag = "Keys", operation_id = "revokeKeySecret",
    params(("id" = String, Path, description = "The key's id."),
        ("secret_id" = String, Path, description = "The secret's id, from the key's `secrets`.")),
    responses((status = 200, description = "The updated key.", body = Key)))]
async fn end_secret(
    State(state): State<AppState>,
    AuthorizedWithin { caller, .. }: AuthorizedWithin<KeysWrite>,
    PathIds(id, secret): PathIds<KeyId, SecretId>,
    OptionalJson(NoMembers {}): OptionalJson<NoMembers>,
) -> Result<Json<Key>, ApiError> {
    let key = state.store.end_secret(caller.account, id, secret, caller.origin()).await;
    Ok(Json(Key::new(key.map_err(change_error(id))?, caller.at)))
}

/// Rotate all keys
///
/// Gives a new secret to every key of the account that is neither revoked nor expired, including the caller's, or to none; with
/// `secrets_before`, only to those whose current secret is older. With `grace_seconds` 0 all old secrets stop working before the response; if the response is lost, only local administration can create
/// new ones.
#[utoipa::path(post, path = "/v1/keys/rotate-all", tag = "Keys", operation_id = "rotateAllKeys",
    request_body(content = Option<RotateKeys>),
    responses((status = 200, description = "All rotated keys with their new secrets. The secrets are shown only here.", body = RotatedKeys)))]
async fn rotate_all_keys(
    State(state): State<AppState>,
    Authorized { caller, .. }: Authorized<KeysWrite>,
    OptionalJson(draft): OptionalJson<RotateKeys>,
) -> Result<Json<RotatedKeys>, ApiError> {
    let which = RotateAllDraft::from(draft).check()?;
    let rotated = state.store.rotate_all_keys(caller.account, which, caller.origin()).await?;
    let keys = rotated.keys.iter().map(|key| with_secret(key, caller.at)).collect();
    Ok(Json(RotatedKeys { rotated_at: rotated.at, grace_seconds: which.grace.get(), keys }))
}

#[cfg(test)]
mod tests {
    use telepath_core::id::Id as _;

    use super::*;

    #[test]
    fn an_error_names_few_keys() {
        let keys: Vec<_> = (0..12).map(|number| KeyId::from_bytes([number; 16])).collect();
        assert_eq!(named(&keys[..1]), format!("{} has", keys[0]));
        assert_eq!(named(&keys[..2]), format!("{}, {} have", keys[0], keys[1]));
        assert!(named(&keys).starts_with("12 keys, among them key_") && named(&keys).len() < 400);
    }
}
