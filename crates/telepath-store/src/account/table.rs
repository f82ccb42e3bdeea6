//! The accounts in memory, read at their first use, for requests that show or check them. An account is forgotten when it
//! changes: by the change itself, and on the other servers with the key clock, before the change returns.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telepath_core::account::Account;
use telepath_core::id::AccountId;

/// The accounts that were read, at most as many as the installation may have.
#[derive(Clone, Default)]
pub(crate) struct AccountTable(Arc<Mutex<Accounts>>);

#[derive(Default)]
struct Accounts {
    known: HashMap<AccountId, Arc<Account>>,
    /// How often something was forgotten. What was read before may be out of date.
    forgotten: u64,
}

/// The state of the table before an account is read from the database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ReadStart(u64);

impl AccountTable {
    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        // Code under this lock does not panic, so the state is consistent even if the lock is poisoned.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account, or what [`AccountTable::learn`] needs after reading it.
    pub(super) fn get(&self, id: AccountId) -> Result<Arc<Account>, ReadStart> {
        let accounts = self.accounts();
        accounts.known.get(&id).cloned().ok_or(ReadStart(accounts.forgotten))
    }

    /// Keeps an account that was read, unless an account has changed since.
    pub(super) fn learn(&self, account: &Arc<Account>, start: ReadStart) {
        let mut accounts = self.accounts();
        if accounts.forgotten == start.0 {
            accounts.known.insert(account.id, Arc::clone(account));
        }
    }

    /// Forgets accounts that may have changed.
    pub(crate) fn forget(&self, ids: &[AccountId]) {
        let mut accounts = self.accounts();
        accounts.forgotten += 1;
        for id in ids {
            accounts.known.remove(id);
        }
    }

    /// Forgets every account, because the database may have lost changes that the table has.
    pub(crate) fn clear(&self) {
        let mut accounts = self.accounts();
        accounts.forgotten += 1;
        accounts.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use telepath_core::clock::Timestamp;
    use telepath_core::id::Id as _;
    use telepath_core::limit::RateLimit;
    use telepath_core::secret::KeyMode;

    use super::*;

    fn account(name: &str) -> Arc<Account> {
        Arc::new(Account {
            id: AccountId::from_bytes([1; 16]),
            name: name.to_owned(),
            mode: KeyMode::Live,
            max_rate_limit: RateLimit::per_minute(60).unwrap(),
            revoke_keys_seen_in_clear: false,
            max_key_lifetime_days: None,
            keys_must_expire: false,
            created_at: Timestamp::from_unix_ms(0),
        })
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept() {
        let (table, old, new) = (AccountTable::default(), account("old"), account("new"));
        let id = old.id;
        let Err(start) = table.get(id) else { panic!("the table is empty") };
        table.forget(&[id]);
        table.learn(&old, start);
        let Err(start) = table.get(id) else { panic!("read before the change") };
        table.learn(&new, start);
        assert_eq!(table.get(id).ok(), Some(new));
        table.clear();
        assert!(table.get(id).is_err());
    }
}
