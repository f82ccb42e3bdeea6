//! Rows of endpoints.

use std::collections::HashMap;

use telepath_core::clock::Timestamp;
use telepath_core::id::{TrunkId, WebhookId};
use telepath_core::reach::Reach;
use telepath_core::webhook::{
    AdaptiveLimit, DisabledReason, Health, SignatureScheme, Subscription, Webhook, WebhookStatus, WebhookUrl,
};

use crate::error::StoreError;
use crate::sql::within::subscription_within;
use crate::sql::{Connection, Row, binds, corrupt, placeholders};

/// The columns that [`webhook_of`] reads.
pub(super) const COLUMNS: &str = "id, account_id, url, description, events, trunk_ids, scheme, headers_at, ca_pem, max_in_flight, status, \
     disabled_reason, failing_since, failures, failed_at, warned_at, reduced_limit, overloads, paused_until, created_at, updated_at";

/// The endpoints of rows with [`COLUMNS`], with the public keys that sign at `now`.
pub(super) async fn with_public_keys(
    db: &mut Connection,
    rows: &[Row],
    now: Timestamp,
) -> Result<Vec<Webhook>, StoreError> {
    let mut webhooks: Vec<Webhook> = rows.iter().map(webhook_of).collect::<Result<_, _>>()?;
    let mut keys = public_keys_of(db, &webhooks, now).await?;
    for webhook in &mut webhooks {
        webhook.public_keys = keys.remove(&webhook.id).unwrap_or_default();
    }
    Ok(webhooks)
}

/// One endpoint within reach.
pub(super) async fn webhook(
    db: &mut Connection,
    reach: &Reach,
    id: WebhookId,
    now: Timestamp,
) -> Result<Option<Webhook>, StoreError> {
    let mut values = binds![id.to_string(), reach.account.to_string()];
    let within = subscription_within(&reach.trunks, &mut values);
    let sql = format!(
        "SELECT {COLUMNS} FROM webhooks WHERE id = $1 AND account_id = $2 AND deleted_at IS NULL{within}"
    );
    let rows = db.fetch_all(sql, values).await?;
    Ok(with_public_keys(db, &rows, now).await?.pop())
}

type PublicKeys = HashMap<WebhookId, Vec<String>>;

async fn public_keys_of(
    db: &mut Connection,
    webhooks: &[Webhook],
    now: Timestamp,
) -> Result<PublicKeys, StoreError> {
    let mut keys = PublicKeys::new();
    if webhooks.is_empty() {
        return Ok(keys);
    }
    let sql = format!(
        "SELECT webhook_id, public_key FROM webhook_secrets WHERE public_key IS NOT NULL \
         AND (expires_at IS NULL OR expires_at > $1) AND webhook_id IN ({}) ORDER BY created_at DESC, id DESC",
        placeholders(2, webhooks.len())
    );
    let ids = webhooks.iter().map(|webhook| webhook.id.to_string().into());
    let values = binds![now].into_iter().chain(ids).collect();
    for row in db.fetch_all(sql, values).await? {
        keys.entry(row.parse("webhook_id")?).or_default().push(row.text("public_key")?);
    }
    Ok(keys)
}

pub(super) fn webhook_of(row: &Row) -> Result<Webhook, StoreError> {
    Ok(Webhook {
        id: row.parse("id")?,
        account_id: row.parse("account_id")?,
        url: url_of(row)?,
        description: row.maybe_text("description")?,
        subscription: subscription_of(row)?,
        scheme: row.named("scheme", SignatureScheme::from_name)?,
        headers_at: row.maybe_time("headers_at")?,
        ca_pem: row.maybe_text("ca_pem")?,
        max_in_flight: row.number("max_in_flight")?,
        status: row.named("status", WebhookStatus::from_name)?,
        disabled_reason: match row.maybe_text("disabled_reason")? {
            None => None,
            Some(name) => Some(DisabledReason::from_name(&name).ok_or_else(|| corrupt("disabled_reason"))?),
        },
        health: health_of(row)?,
        limit: limit_of(row)?,
        public_keys: Vec::new(),
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

/// From the column `url`.
pub(crate) fn url_of(row: &Row) -> Result<WebhookUrl, StoreError> {
    WebhookUrl::try_from(row.text("url")?).map_err(|_| corrupt("url"))
}

/// From the columns `failing_since`, `failures`, `failed_at` and `warned_at`.
pub(super) fn health_of(row: &Row) -> Result<Health, StoreError> {
    Ok(Health {
        failing_since: row.maybe_time("failing_since")?,
        failures: row.number("failures")?,
        failed_at: row.maybe_time("failed_at")?,
        warned_at: row.maybe_time("warned_at")?,
    })
}

/// From the columns `reduced_limit`, `overloads` and `paused_until`.
pub(crate) fn limit_of(row: &Row) -> Result<AdaptiveLimit, StoreError> {
    let reduced = row.maybe_integer("reduced_limit")?;
    Ok(AdaptiveLimit {
        reduced: reduced
            .map(|limit| u32::try_from(limit).map_err(|_| corrupt("reduced_limit")))
            .transpose()?,
        overloads: row.number("overloads")?,
        paused_until: row.maybe_time("paused_until")?,
    })
}

/// From the columns `events` and `trunk_ids`.
pub(super) fn subscription_of(row: &Row) -> Result<Subscription, StoreError> {
    let texts = row.borrowed("trunk_ids")?.split(',').filter(|text| !text.is_empty());
    let trunks = texts.map(|text| text.parse::<TrunkId>().map_err(|_| corrupt("trunk_ids")));
    Ok(Subscription { events: row.parse("events")?, trunks: trunks.collect::<Result<_, _>>()? })
}

/// The text of the column `trunk_ids`.
pub(super) fn trunks_text(trunks: &[TrunkId]) -> String {
    trunks.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
