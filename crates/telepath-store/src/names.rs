//! The names of what the log, the audit trail and the alerts hold by id, for pages that show many of them.

use std::collections::BTreeMap;

use telepath_core::id::{AccountId, SecretId};
use telepath_core::webhook::WebhookUrl;

use crate::error::StoreError;
use crate::sql::{Row, Value, binds, placeholders};
use crate::store::Store;

/// What something is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The current name; of a user, the email address; of a webhook, the host of its URL.
    pub name: String,
    /// The newest secret of a key.
    pub secret: Option<SecretId>,
}

/// What each id is called. What the account does not have (any more) is missing.
pub type Names = BTreeMap<String, Named>;

/// The most ids of one question.
const MAX_IDS: usize = 512;

impl Store {
    /// The names of keys, members, trunks and webhooks of the account, read with one statement. Ids beyond 512 are left out.
    pub async fn names(&self, account: AccountId, ids: &[String]) -> Result<Names, StoreError> {
        let ids = &ids[..ids.len().min(MAX_IDS)];
        let Some(last) = ids.last() else { return Ok(Names::new()) };
        let mut values = binds![account.to_string()];
        // A power of two, so that few different statements are prepared.
        let places = ids.len().next_power_of_two();
        let listed = placeholders(2, places);
        let padding = std::iter::repeat_n(last, places - ids.len());
        values.extend(ids.iter().chain(padding).map(|id| Value::from(id.as_str())));
        let sql = format!(
            "SELECT id, name, 'name' AS kind, (SELECT s.id FROM key_secrets s WHERE s.key_id = keys.id \
                ORDER BY s.created_at DESC, s.id DESC LIMIT 1) AS secret \
             FROM keys WHERE account_id = $1 AND id IN ({listed}) \
             UNION ALL SELECT u.id, u.email, 'name', NULL FROM users u JOIN memberships m ON m.user_id = u.id \
             WHERE m.account_id = $1 AND u.id IN ({listed}) \
             UNION ALL SELECT id, name, 'name', NULL FROM trunks WHERE account_id = $1 AND id IN ({listed}) \
             UNION ALL SELECT id, url, 'url', NULL FROM webhooks WHERE account_id = $1 AND id IN ({listed})"
        );
        let rows = self.backend.read().await?.fetch_all(sql, values).await?;
        rows.iter().map(named).collect()
    }
}

fn named(row: &Row) -> Result<(String, Named), StoreError> {
    let text = row.text(1)?;
    // The rest of the URL may contain a secret of the receiver.
    let name = if row.text(2)? == "url" {
        WebhookUrl::try_from(text).map_or_else(|_| "webhook".to_owned(), |url| url.host().to_owned())
    } else {
        text
    };
    let secret = row.maybe_text(3)?.and_then(|id| id.parse().ok());
    Ok((row.text(0)?, Named { name, secret }))
}
