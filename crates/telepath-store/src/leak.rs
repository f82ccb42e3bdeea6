//! Leaked keys: revoking them and raising the alert in one transaction.

use serde_json::json;
use telepath_core::alert::{AlertRule, NewAlert};
use telepath_core::audit::Origin;
use telepath_core::id::{AccountId, KeyId};
use telepath_core::key::KeyRecord;

use crate::alert::raise::raise;
use crate::key::KeyChangeError;
use crate::key::change::{Revoke, revoke};
use crate::store::Store;

impl Store {
    /// Revokes a key whose secret was reported as leaked and raises an alert. A key that is already revoked is left
    /// as it is.
    pub async fn revoke_leaked_key(
        &self,
        account: AccountId,
        id: KeyId,
        reason: String,
        origin: Origin,
    ) -> Result<KeyRecord, KeyChangeError> {
        let revocation = Revoke {
            account,
            id,
            reason: Some(reason.clone()),
            origin,
            audit_id: self.new_id(origin.at)?,
            event_id: self.new_id(origin.at)?,
        };
        let alert_writer = self.alert_writer();
        self.change_key(id, move |db| {
            Box::pin(async move {
                let changed = revoke(db, revocation).await?;
                let message =
                    format!("The key \"{}\" was reported as leaked and is revoked.", changed.name());
                let address = origin.address.map(|address| address.to_string());
                let figures = json!({ "address": address, "reason": reason });
                let alert = NewAlert::new(AlertRule::LeakReported, id, message, figures);
                raise(db, account, alert, &alert_writer, origin.at).await?;
                Ok(changed)
            })
        })
        .await
    }

    /// Revokes a key that was sent over plain HTTP, if its account's policy says so; returns whether it does.
    pub async fn revoke_seen_in_clear(
        &self,
        account: AccountId,
        id: KeyId,
        origin: Origin,
    ) -> Result<bool, KeyChangeError> {
        let wanted = self.account(account).await?.is_some_and(|account| account.revoke_keys_seen_in_clear);
        if wanted {
            let reason = Some("Sent over plain HTTP".to_owned());
            self.revoke_key(account, id, reason, origin).await?;
        }
        Ok(wanted)
    }
}
