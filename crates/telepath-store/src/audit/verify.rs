//! Verification of a trail: its entries form the chain whose state the account's row holds.

use telepath_core::audit::{
    AuditAction, AuditEntry, ChainHash, ChainHead, ChainKey, ChainState, ExpectedHead, KeyedAuditId,
};
use telepath_core::id::AccountId;

use super::chain_state::{self, StoredChain, integer};
use super::origin_of;
use crate::error::StoreError;
use crate::sql::{Connection, Row, binds};
use crate::store::Store;

/// Entries that are verified before the connection is given back.
const VERIFIED_AT_ONCE: i64 = 100;

/// The result of verifying an account's audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditVerdict {
    /// Every entry is unchanged.
    Intact {
        /// The number of entries.
        entries: u64,
    },
    /// An entry was changed, removed or added.
    Broken {
        /// The first position that does not match, counted from 1.
        position: u64,
    },
}

/// The result of verifying an account's audit trail, and what is known about its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditReport {
    pub verdict: AuditVerdict,
    /// The newest entry that was verified.
    pub head: ChainHead,
    /// The entry before the first that was verified: retention has deleted it and those before it.
    pub anchor: ChainHead,
    /// Entries up to this position were linked without a key, so they prove nothing against someone who can write to the
    /// database.
    pub keyed_after: u64,
    /// Whether the chain contains the expected head.
    pub expected: Option<ExpectedHead>,
}

impl Store {
    /// Recomputes the chain of an account's trail and compares it with what is stored; if asked, looks for a head in it that
    /// was logged earlier. One trail is verified at a time, and the connection is given back after each part, so that
    /// verification never takes all readers.
    pub async fn verify_audit(
        &self,
        account: AccountId,
        expected: Option<ChainHead>,
    ) -> Result<AuditReport, StoreError> {
        // The semaphore is never closed.
        let _turn = self.audit_verification.acquire().await.map_err(|_| StoreError::Closed)?;
        loop {
            let Some(mut check) = self.begin(account, expected).await? else {
                return Ok(no_account(expected));
            };
            while !check.broken && check.last.position < check.chain.state.head.position {
                let before = check.last.position;
                self.verify_part(&mut check).await?;
                check.broken |= check.last.position == before;
            }
            let report = check.finish(self.context.vault.audit_chain());
            // Retention may have deleted entries while they were read.
            if matches!(report.verdict, AuditVerdict::Intact { .. })
                || !self.is_anchored_later(&report, account).await?
            {
                return Ok(report);
            }
        }
    }

    async fn begin(
        &self,
        account: AccountId,
        expected: Option<ChainHead>,
    ) -> Result<Option<ChainCheck>, StoreError> {
        let mut db = self.backend.read().await?;
        let Some((chain, entries)) = chain_state::read(&mut db, account).await? else { return Ok(None) };
        let found = match expected {
            Some(expected) => Some(look_for(&mut db, &chain.state, expected).await?),
            None => None,
        };
        Ok(Some(ChainCheck::new(chain, entries, found)))
    }

    async fn verify_part(&self, check: &mut ChainCheck) -> Result<(), StoreError> {
        let sql = "SELECT id, position, actor, address, at, action, target, before_json, after_json, hash \
                   FROM audit_events WHERE account_id = $1 AND position > $2 AND position <= $3 \
                   ORDER BY position LIMIT $4";
        let ChainState { account, head, .. } = check.chain.state;
        let part = binds![
            account.to_string(),
            integer(check.last.position),
            integer(head.position),
            VERIFIED_AT_ONCE
        ];
        let key = self.context.vault.audit_chain();
        let mut db = self.backend.read().await?;
        db.fetch_each(sql, part, |row| {
            check.follow(&row, key);
            Ok(())
        })
        .await
    }

    async fn is_anchored_later(&self, report: &AuditReport, account: AccountId) -> Result<bool, StoreError> {
        let now = chain_state::read(&mut self.backend.read().await?, account).await?;
        Ok(now.is_some_and(|(chain, _)| chain.state.anchor.position > report.anchor.position))
    }
}

/// An account that does not exist has no entries.
fn no_account(expected: Option<ChainHead>) -> AuditReport {
    AuditReport {
        verdict: AuditVerdict::Intact { entries: 0 },
        head: ChainHead::GENESIS,
        anchor: ChainHead::GENESIS,
        keyed_after: 0,
        expected: expected.map(|_| ExpectedHead::Missing),
    }
}

/// Looks for a head among the stored entries. Whether they are the ones that were written, the verification says.
async fn look_for(
    db: &mut Connection,
    chain: &ChainState,
    expected: ChainHead,
) -> Result<ExpectedHead, StoreError> {
    let ChainHead { position, hash } = expected;
    if position > chain.head.position {
        return Ok(ExpectedHead::Missing);
    }
    if position < chain.anchor.position {
        return Ok(ExpectedHead::Expired);
    }
    let stored = if position == chain.anchor.position {
        Some(chain.anchor.hash.0)
    } else {
        let sql = "SELECT hash FROM audit_events WHERE account_id = $1 AND position = $2";
        let row = db.fetch_optional(sql, binds![chain.account.to_string(), integer(position)]).await?;
        row.and_then(|row| row.array("hash").ok())
    };
    Ok(match stored {
        Some(stored) if stored == hash.0 => ExpectedHead::Found,
        Some(_) => ExpectedHead::Different,
        None => ExpectedHead::Missing,
    })
}

/// Follows a chain from the first entry that is kept.
pub(super) struct ChainCheck {
    pub(super) chain: StoredChain,
    expected: Option<ExpectedHead>,
    /// The last entry that matches.
    pub(super) last: ChainHead,
    pub(super) broken: bool,
    /// There are more or fewer entries than the state says, such as one after the head.
    surplus: bool,
}

impl ChainCheck {
    pub(super) fn new(chain: StoredChain, entries: u64, expected: Option<ExpectedHead>) -> Self {
        let ChainState { head, anchor, .. } = chain.state;
        let surplus = Some(entries) != head.position.checked_sub(anchor.position);
        Self { last: anchor, chain, expected, broken: false, surplus }
    }

    pub(super) fn follow(&mut self, row: &Row, key: &ChainKey) {
        if self.broken {
            return;
        }
        match self.link(row, key) {
            Ok((stored, computed)) if stored == computed && stored.position == self.last.position + 1 => {
                self.last = computed;
            }
            // This program never writes a value that it cannot read.
            Ok(_) | Err(_) => self.broken = true,
        }
    }

    /// The entry of a row as it is stored, and as it should be.
    fn link(&self, row: &Row, key: &ChainKey) -> Result<(ChainHead, ChainHead), StoreError> {
        let entry = AuditEntry {
            id: KeyedAuditId { id: row.parse("id")?, key: key.clone(), trail_limit: None },
            account_id: self.chain.state.account,
            origin: origin_of(row)?,
            action: row.named("action", AuditAction::from_name)?,
            target: row.text("target")?,
            before: serde_json::Value::Null,
            after: serde_json::Value::Null,
        };
        let position = row.number("position")?;
        let (before, after) = (row.text("before_json")?, row.text("after_json")?);
        let computed = self.chain.state.link(&entry, position, self.last.hash, &before, &after);
        let stored = ChainHead { position, hash: ChainHash(row.array("hash")?) };
        Ok((stored, ChainHead { position, hash: computed }))
    }

    fn finish(self, key: &ChainKey) -> AuditReport {
        let ChainState { anchor, keyed_after, head, .. } = self.chain.state;
        let is_whole = !self.broken && !self.surplus && self.last == head;
        let verdict = if is_whole && self.chain.state.is_authentic(key, &self.chain.tag) {
            AuditVerdict::Intact { entries: head.position.saturating_sub(anchor.position) }
        } else {
            AuditVerdict::Broken { position: self.last.position + 1 }
        };
        AuditReport { verdict, head: self.last, anchor, keyed_after, expected: self.expected }
    }
}
