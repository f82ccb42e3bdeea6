//! Requests about keys, as the drafts that the domain checks.

use telepath_core::key::{KeyDraft, KeyPatchDraft, RotateAllDraft, RotateDraft};

use super::{CreateKey, RotateKey, RotateKeys, UpdateKey};

impl From<CreateKey> for KeyDraft {
    fn from(body: CreateKey) -> Self {
        let CreateKey {
            name,
            description,
            metadata,
            preset,
            scopes,
            trunk_ids,
            rate_limit_per_minute,
            quotas,
            allowed_ips,
            expires_at,
            not_before,
        } = body;
        Self {
            name,
            description,
            metadata,
            preset,
            scopes,
            trunk_ids,
            rate_limit_per_minute,
            quotas: quotas.map(Into::into),
            allowed_ips,
            expires_at,
            not_before,
        }
    }
}

impl From<UpdateKey> for KeyPatchDraft {
    fn from(body: UpdateKey) -> Self {
        let UpdateKey {
            name,
            description,
            metadata,
            scopes,
            trunk_ids,
            rate_limit_per_minute,
            quotas,
            allowed_ips,
            expires_at,
            not_before,
        } = body;
        Self {
            name,
            description,
            metadata,
            scopes,
            trunk_ids,
            rate_limit_per_minute,
            quotas: quotas.map(Into::into),
            allowed_ips,
            expires_at,
            not_before,
        }
    }
}

impl From<RotateKeys> for RotateAllDraft {
    fn from(RotateKeys { grace_seconds, secrets_before }: RotateKeys) -> Self {
        Self { grace_seconds, secrets_before }
    }
}

impl From<RotateKey> for RotateDraft {
    fn from(RotateKey { grace_seconds }: RotateKey) -> Self {
        Self { grace_seconds }
    }
}
