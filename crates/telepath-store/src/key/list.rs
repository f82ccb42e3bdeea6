//! Lists of keys, with filters, search and order.

use std::net::IpAddr;

use telepath_core::key::{EXPIRING_WITHIN, KeyFilter, KeyRecord, KeySort, KeyStatus, Preset};
use telepath_core::page::{Page, PageRequest};
use telepath_core::reach::Reach;

use super::row;
use crate::error::StoreError;
use crate::sql::within::trunk_list_within;
use crate::sql::{ListQuery, Order, SortBy, Value, binds};
use crate::store::Store;

const DAY_MS: i64 = 86_400_000;
/// The number of characters that a mask shows of the end of a secret.
const SHOWN_END: usize = 4;

/// A look-up in another table runs only if the search text can be found there.
const SOURCE: &str = "FROM keys WHERE account_id = $1 \
     AND ($2 IS NULL OR $2 = CASE WHEN revoked_at IS NOT NULL THEN 'revoked' \
        WHEN expires_at <= $3 THEN 'expired' WHEN paused_at IS NOT NULL THEN 'paused' \
        WHEN not_before > $3 THEN 'scheduled' WHEN expires_at <= $4 THEN 'expiring' ELSE 'active' END) \
     AND ($13 IS NULL OR $13 = CASE WHEN revoked_at IS NOT NULL OR expires_at <= $3 THEN 1 ELSE 0 END) \
     AND ($5 IS NULL OR preset = $5) \
     AND ($6 IS NULL OR COALESCE(last_used_at, created_at) <= $6) \
     AND ($7 IS NULL OR expires_at < $7) \
     AND ($8 IS NULL OR $8 = CASE WHEN expires_at IS NULL THEN 1 ELSE 0 END) \
     AND ($9 IS NULL OR id = $9 OR lower(name) LIKE lower($10) ESCAPE '!' \
        OR ($11 IS NOT NULL AND EXISTS \
            (SELECT 1 FROM key_secrets s WHERE s.key_id = keys.id AND s.mask LIKE $11 ESCAPE '!')) \
        OR ($12 IS NOT NULL AND (last_used_ip = $12 OR EXISTS \
            (SELECT 1 FROM usage_addresses u WHERE u.key_id = keys.id AND u.address = $12))))";

impl Store {
    /// Keys within reach: a key that is limited to trunks sees only keys with the same limits or narrower ones.
    pub async fn list_keys(
        &self,
        reach: impl Into<Reach>,
        filter: KeyFilter,
        page: PageRequest,
    ) -> Result<Page<KeyRecord>, StoreError> {
        let Reach { account, trunks } = reach.into();
        self.sync_usage().await;
        let now = self.now();
        let idle_since = filter.idle_days.map(|days| now.unix_ms() - i64::from(days) * DAY_MS);
        let order = order(filter.sort, filter.ascending);
        let mut filters = binds![
            account.to_string(),
            filter.status.map(KeyStatus::name),
            now,
            now.plus(EXPIRING_WITHIN),
            filter.preset.map(Preset::name),
            idle_since,
            filter.expires_before,
            filter.never_expires.map(i64::from),
        ];
        filters.extend(search_values(filter.search));
        filters.extend(binds![filter.ended.map(i64::from)]);
        let within = trunk_list_within("trunk_ids", &trunks, &mut filters);
        let source = format!("{SOURCE}{within}");
        let mut db = self.backend.read().await?;
        let list = ListQuery { columns: row::COLUMNS, source: &source, filters, order };
        let Page { items, position } = list.page(&mut db, page).await?;
        Ok(Page { items: row::with_secrets(&mut db, &items).await?, position })
    }
}

/// A search text as the values of `$9` to `$12`: itself, a pattern for names, a pattern for masks, and an address.
fn search_values(search: Option<String>) -> Vec<Value> {
    let in_name = search.as_deref().map(|text| format!("%{}%", escaped(text)));
    let mask = search.as_deref().filter(|text| text.chars().count() == SHOWN_END || text.contains('…'));
    let mask = mask.map(|text| format!("%{}", escaped(text)));
    let address = search.as_deref().and_then(|text| text.parse::<IpAddr>().ok());
    let address = address.map(|address| address.to_canonical().to_string());
    binds![search, in_name, mask, address]
}

/// The pattern of LIKE that matches only this text.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '!' | '%' | '_') {
            pattern.push('!');
        }
        pattern.push(character);
    }
    pattern
}

const fn order(sort: KeySort, ascending: bool) -> Order<'static> {
    let (expression, nullable) = match sort {
        KeySort::CreatedAt => ("created_at", false),
        KeySort::Name => ("lower(name)", false),
        KeySort::LastUsedAt => ("last_used_at", true),
        KeySort::RequestCount => ("request_count", false),
        KeySort::ExpiresAt => ("expires_at", true),
    };
    Order { id: "id", by: Some(SortBy { key: sort.key(), expression, nullable }), ascending }
}
