//! What happened since a key leaked.

use std::net::IpAddr;
use std::time::Duration;

use telepath_core::account::Actor;
use telepath_core::audit::{AuditFilter, AuditRecord};
use telepath_core::clock::Timestamp;
use telepath_core::id::TrunkId;
use telepath_core::key::{KeyRecord, LastUse};
use telepath_core::page::PageRequest;
use telepath_core::request::{RequestFilter, RequestRecord, StatusFilter};
use telepath_core::trunk::{AiProvider, CredentialField};
use telepath_core::usage::{SeenAddress, UsageSpan};

use super::{COLUMNS, LeakGuide, guide_of};
use crate::error::StoreError;
use crate::request_log::read::RequestOrder;
use crate::sql::within::trunk_within;
use crate::sql::{Row, binds};
use crate::store::Store;
use crate::usage::seen;
use crate::usage::totals::ADDRESSES;

/// Changes that a response lists.
const CHANGES: u32 = 20;
/// Rejected requests that are read to find out who sent them.
const REJECTED: usize = 200;
/// Credentials that a response lists.
const CREDENTIALS: u32 = 100;
/// A client that was silent for this long no longer uses the key.
const SILENT: Duration = Duration::from_hours(1);

/// A guide and what happened since its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeakResponse {
    pub guide: LeakGuide,
    /// `None` while the key is not revoked.
    pub rejections: Option<Rejections>,
    pub other_keys: OtherKeys,
    pub reviewed: Reviewed,
    /// Who sent requests with the revoked key within the last hour, most recent first.
    pub clients: Vec<RejectedClient>,
    /// Credentials of connections within reach of the key that are older than the guide, by connection; at most 100.
    pub credentials: Vec<OldCredential>,
}

/// The requests with a key after its revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejections {
    /// A request that was accepted all the same.
    pub accepted: Option<LastUse>,
    pub requests: u64,
    /// From how many addresses they came, of those that are kept.
    pub addresses: u64,
    /// The minute of the last one.
    pub last: Option<Timestamp>,
}

/// The keys of the account that can be used, without the leaked one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherKeys {
    pub keys: u64,
    /// Those whose current secret was created after the start.
    pub rotated: u64,
    /// Secrets from before the start that work until their grace periods end.
    pub in_grace: u64,
    /// When the last of them ends.
    pub grace_until: Option<Timestamp>,
}

/// What is reviewed: the use of the key since a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewed {
    /// Requests since the hour of that time, without those that were rejected for the key.
    pub requests: u64,
    /// Addresses that were first seen since then, most recently seen first.
    pub new_addresses: Vec<SeenAddress>,
    /// Changes that the key made, newest first; at most 20.
    pub changes: Vec<AuditRecord>,
    pub has_more_changes: bool,
}

/// Who still uses a revoked key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedClient {
    pub address: IpAddr,
    /// Its `User-Agent`.
    pub program: Option<String>,
    pub last_seen: Timestamp,
    /// Its requests among the last 200 that were rejected.
    pub requests: u64,
}

/// A credential at a provider that is older than the leak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldCredential {
    pub trunk: TrunkId,
    pub trunk_name: String,
    pub provider: AiProvider,
    pub field: CredentialField,
    pub last4: Option<String>,
    pub updated_at: Timestamp,
}

impl Rejections {
    /// Whether nothing uses the key any more.
    pub fn is_silent(&self, revoked_at: Timestamp, now: Timestamp) -> bool {
        let last = self.last.map_or(revoked_at, |minute| minute.plus(UsageSpan::Minute.length()));
        now.since(last.max(revoked_at)) >= SILENT
    }
}

impl Store {
    /// The response to the leak of a key, which is reviewed from a time on; `None` if nobody started it. Six statements and
    /// one scan of the request log.
    pub async fn leak_response(
        &self,
        key: &KeyRecord,
        since: Timestamp,
    ) -> Result<Option<LeakResponse>, StoreError> {
        let now = self.now();
        let Some(facts) = self.leak_facts(key, since, now).await? else { return Ok(None) };
        let guide = guide_of(&facts)?;
        let revoked_at = key.revocation.as_ref().map(|revocation| revocation.at);
        let addresses = self.leak_addresses(key).await?;
        let rejected_from = |at| addresses.iter().filter(|seen| seen.last_seen > at).count() as u64;
        let rejections = match revoked_at {
            Some(at) => Some(Rejections {
                accepted: key.last_use.filter(|last| last.at > at),
                requests: facts.number("rejected")?,
                addresses: rejected_from(at),
                last: facts.maybe_time("last_rejected")?,
            }),
            None => None,
        };
        let filter =
            AuditFilter { actor: Some(Actor::Key(key.id)), start: Some(since), ..AuditFilter::default() };
        let page = PageRequest::new(CHANGES, 0).unwrap_or_default();
        let changes = self.list_audit(key.account_id, filter, page).await?;
        Ok(Some(LeakResponse {
            other_keys: OtherKeys {
                keys: facts.number("other_keys")?,
                rotated: facts.number("rotated")?,
                in_grace: facts.number("in_grace")?,
                grace_until: facts.maybe_time("grace_until")?,
            },
            reviewed: Reviewed {
                requests: facts.number("requests")?,
                new_addresses: addresses.into_iter().filter(|seen| seen.first_seen >= since).collect(),
                has_more_changes: changes.position.next.is_some(),
                changes: changes.items,
            },
            clients: match revoked_at {
                // A request from exactly that long ago is silence, as in `is_silent`.
                Some(at) => {
                    let from = now.minus(SILENT).plus(Duration::from_millis(1));
                    self.rejected_clients(key, at.max(from)).await?
                }
                None => Vec::new(),
            },
            credentials: self.old_credentials(key, guide.started_at).await?,
            rejections,
            guide,
        }))
    }

    async fn leak_facts(
        &self,
        key: &KeyRecord,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Row>, StoreError> {
        const OTHERS: &str = "FROM keys o WHERE o.account_id = $2 AND o.id <> $1 AND o.revoked_at IS NULL \
             AND (o.expires_at IS NULL OR o.expires_at > $3)";
        let revoked_at = key.revocation.as_ref().map_or(now, |revocation| revocation.at);
        // Minutes are exact, and kept for two days.
        let minutes = now.since(revoked_at) < UsageSpan::Minute.kept_for();
        let span = if minutes { UsageSpan::Minute } else { UsageSpan::Hour };
        let sql = format!(
            "SELECT {COLUMNS}, \
             (SELECT CAST(COALESCE(sum(requests), 0) AS BIGINT) FROM usage_buckets WHERE key_id = $1 AND span = $4 \
               AND start >= $5 AND status = 401) AS rejected, \
             (SELECT max(start) FROM usage_buckets WHERE key_id = $1 AND span = $4 AND start >= $5 AND status = 401) \
               AS last_rejected, \
             (SELECT CAST(COALESCE(sum(requests), 0) AS BIGINT) FROM usage_buckets WHERE key_id = $1 AND span = 'hour' \
               AND start >= $6 AND status <> 401) AS requests, \
             (SELECT count(*) {OTHERS}) AS other_keys, \
             (SELECT count(*) {OTHERS} AND EXISTS (SELECT 1 FROM key_secrets s WHERE s.key_id = o.id \
               AND s.expires_at IS NULL AND s.created_at >= g.started_at)) AS rotated, \
             (SELECT count(*) FROM key_secrets s WHERE s.expires_at > $3 AND s.created_at < g.started_at \
               AND s.key_id IN (SELECT o.id {OTHERS})) AS in_grace, \
             (SELECT max(s.expires_at) FROM key_secrets s WHERE s.expires_at > $3 AND s.created_at < g.started_at \
               AND s.key_id IN (SELECT o.id {OTHERS})) AS grace_until \
             FROM leak_guides g JOIN keys k ON k.id = g.key_id WHERE g.key_id = $1 AND g.account_id = $2"
        );
        let values = binds![
            key.id.to_string(),
            key.account_id.to_string(),
            now,
            span.name(),
            span.start_of(revoked_at),
            UsageSpan::Hour.start_of(since),
        ];
        self.backend.read().await?.fetch_optional(sql, values).await
    }

    async fn leak_addresses(&self, key: &KeyRecord) -> Result<Vec<SeenAddress>, StoreError> {
        seen(&mut self.backend.read().await?, key.id, None, ADDRESSES, |row| row.parse(0)).await
    }

    async fn rejected_clients(
        &self,
        key: &KeyRecord,
        from: Timestamp,
    ) -> Result<Vec<RejectedClient>, StoreError> {
        let filter = RequestFilter {
            key_id: Some(key.id),
            status: Some(StatusFilter::Exactly(401)),
            start: Some(from),
            ..RequestFilter::default()
        };
        let page = self.list_requests(key.account_id, &filter, RequestOrder::Newest, REJECTED, None).await?;
        Ok(by_client(page.requests))
    }

    async fn old_credentials(
        &self,
        key: &KeyRecord,
        before: Timestamp,
    ) -> Result<Vec<OldCredential>, StoreError> {
        let mut values = binds![key.account_id.to_string(), before, CREDENTIALS];
        let within = trunk_within("t.id", &key.trunks, &mut values);
        let sql = format!(
            "SELECT t.id AS id, t.name AS name, t.ai_provider AS ai_provider, c.field AS field, c.last4 AS last4, \
             c.updated_at AS updated_at FROM trunks t JOIN trunk_credentials c ON c.trunk_id = t.id \
             WHERE t.account_id = $1 AND t.deleted_at IS NULL AND c.updated_at < $2{within} \
             ORDER BY lower(t.name), t.id, c.field LIMIT $3"
        );
        let rows = self.backend.read().await?.fetch_all(sql, values).await?;
        rows.iter().map(credential_of).collect()
    }
}

fn credential_of(row: &Row) -> Result<OldCredential, StoreError> {
    Ok(OldCredential {
        trunk: row.parse("id")?,
        trunk_name: row.text("name")?,
        provider: row.named("ai_provider", AiProvider::from_name)?,
        field: row.named("field", CredentialField::from_name)?,
        last4: row.maybe_text("last4")?,
        updated_at: row.time("updated_at")?,
    })
}

/// Requests by address and program. Newest first, as they come.
fn by_client(requests: Vec<RequestRecord>) -> Vec<RejectedClient> {
    let mut clients: Vec<RejectedClient> = Vec::new();
    for RequestRecord { facts, user_agent, .. } in requests {
        let known =
            clients.iter_mut().find(|client| client.address == facts.address && client.program == user_agent);
        match known {
            Some(client) => client.requests += 1,
            None => clients.push(RejectedClient {
                address: facts.address,
                program: user_agent,
                last_seen: facts.at,
                requests: 1,
            }),
        }
    }
    clients
}
