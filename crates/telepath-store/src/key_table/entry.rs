//! One key in memory: small, because there may be a million of them, and sufficient to decide about a request.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, Id as _, KeyId};
use telepath_core::key::{KeyPolicy, PolicyDecision};
use telepath_core::limit::{Phase, RateLimit, Take, Window, WindowState};
use telepath_core::secret::HashedKey;

use super::Admission;

/// The state of a key as a transaction left it.
pub(crate) struct Snapshot {
    pub(crate) id: KeyId,
    pub(crate) account: AccountId,
    pub(crate) policy: KeyPolicy,
    /// Increases with every change of the key.
    pub(crate) version: i64,
    pub(crate) secrets: Vec<SnapshotSecret>,
}

/// One secret of a [`Snapshot`].
pub(crate) struct SnapshotSecret {
    pub(crate) hash: HashedKey,
    pub(crate) expires_at: Option<Timestamp>,
}

/// What the shared limiter needs to know about a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowContext {
    pub(crate) limit: RateLimit,
    pub(crate) phase: Phase,
    /// The last count that this server has seen.
    pub(crate) known: Window,
}

/// The answer of the shared limiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TakeResult {
    pub(crate) admitted: bool,
    /// The window, including this request if it was counted.
    pub(crate) window: Window,
}

/// A secret; `expires` is `i64::MAX` for never.
struct Secret {
    hash: HashedKey,
    expires: i64,
}

impl Secret {
    fn new(secret: &SnapshotSecret) -> Self {
        Self { hash: secret.hash, expires: secret.expires_at.map_or(i64::MAX, Timestamp::unix_ms) }
    }
}

struct KeyState {
    policy: KeyPolicy,
    window: Window,
    /// Nearly every key has one secret, which is stored without an allocation.
    first: Option<Secret>,
    #[expect(clippy::box_collection, reason = "a million empty lists cost 8 bytes each instead of 24")]
    more: Option<Box<Vec<Secret>>>,
    version: i64,
    /// Whether the committed state of the key is unknown.
    in_doubt: bool,
}

impl KeyState {
    /// Checks everything that admission depends on, except the window.
    fn check(&self, hash: &HashedKey, address: IpAddr, now: Timestamp) -> Result<(), Admission> {
        if self.in_doubt {
            return Err(Admission::InDoubt);
        }
        let alive = self.secrets().any(|secret| secret.hash == *hash && now.unix_ms() < secret.expires);
        if !alive {
            return Err(Admission::Dead);
        }
        match self.policy.decide(address, now) {
            PolicyDecision::Dead => Err(Admission::Dead),
            PolicyDecision::WrongAddress => Err(Admission::WrongAddress),
            PolicyDecision::Usable => Ok(()),
        }
    }

    fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.first.iter().chain(self.more.iter().flat_map(|more| more.iter()))
    }

    fn set_secrets(&mut self, secrets: Vec<Secret>) {
        let mut secrets = secrets.into_iter();
        self.first = secrets.next();
        let more: Vec<Secret> = secrets.collect();
        self.more = if more.is_empty() { None } else { Some(Box::new(more)) };
    }
}

/// A key in memory.
pub(super) struct KeyEntry {
    pub(super) id: KeyId,
    pub(super) account: AccountId,
    state: Mutex<KeyState>,
}

impl KeyEntry {
    pub(super) fn new(snapshot: Snapshot) -> Self {
        let mut state = KeyState {
            policy: snapshot.policy,
            window: Window::default(),
            first: None,
            more: None,
            version: snapshot.version,
            in_doubt: false,
        };
        state.set_secrets(snapshot.secrets.iter().map(Secret::new).collect());
        Self { id: snapshot.id, account: snapshot.account, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, KeyState> {
        // Code under this lock does not panic, so the state is consistent even if the lock is poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has(&self, hash: &HashedKey) -> bool {
        self.state().secrets().any(|secret| secret.hash == *hash)
    }

    pub(super) fn version(&self) -> i64 {
        self.state().version
    }

    /// Whether one of the key's secrets has this index number.
    pub(super) fn has_number(&self, number: u64) -> bool {
        self.state().secrets().any(|secret| secret.hash.index() == number)
    }

    pub(super) fn admit(&self, hash: &HashedKey, address: IpAddr, now: Timestamp) -> Admission {
        let mut state = self.state();
        if let Err(refusal) = state.check(hash, address, now) {
            return refusal;
        }
        let limit = state.policy.rate_limit;
        match state.window.take(limit, self.phase(), now) {
            Take::Admitted(window) => Admission::Admitted { scopes: state.policy.scopes, window },
            Take::Full(window) => Admission::Limited { window },
        }
    }

    pub(super) fn is_live(&self, hash: &HashedKey, now: Timestamp) -> bool {
        let state = self.state();
        let policy = &state.policy;
        !policy.revoked
            && policy.expires_at.is_none_or(|end| now < end)
            && state.secrets().any(|secret| secret.hash == *hash && now.unix_ms() < secret.expires)
    }

    pub(super) fn check(
        &self,
        hash: &HashedKey,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<WindowContext, Admission> {
        let state = self.state();
        state.check(hash, address, now)?;
        Ok(WindowContext { limit: state.policy.rate_limit, phase: self.phase(), known: state.window })
    }

    pub(super) fn admit_counted(
        &self,
        hash: &HashedKey,
        address: IpAddr,
        now: Timestamp,
        taken: TakeResult,
    ) -> Admission {
        let mut state = self.state();
        state.window.learn(taken.window);
        if let Err(refusal) = state.check(hash, address, now) {
            return refusal;
        }
        // The count at the time of the request; a later one may already be known.
        let window = taken.window.state(state.policy.rate_limit);
        if taken.admitted {
            Admission::Admitted { scopes: state.policy.scopes, window }
        } else {
            // Also when only this server's share is used up, or when the limit was raised in the meantime.
            Admission::Limited { window: WindowState { remaining: 0, ..window } }
        }
    }

    fn phase(&self) -> Phase {
        Phase::of_id(self.id.as_bytes())
    }

    /// Adds secrets that the key does not have yet.
    pub(super) fn add_secrets(&self, secrets: &[SnapshotSecret]) {
        let mut state = self.state();
        for secret in secrets {
            let secret = Secret::new(secret);
            if state.first.is_none() {
                state.first = Some(secret);
            } else {
                state.more.get_or_insert_default().push(secret);
            }
        }
    }

    /// Applies a newer state; returns the added and the removed secrets.
    pub(super) fn replace(&self, snapshot: Snapshot) -> (Vec<HashedKey>, Vec<HashedKey>) {
        let mut state = self.state();
        if snapshot.version <= state.version {
            return (Vec::new(), Vec::new());
        }
        let secrets: Vec<Secret> = snapshot.secrets.iter().map(Secret::new).collect();
        let gone = |old: &&Secret| !secrets.iter().any(|new| new.hash == old.hash);
        let removed = state.secrets().filter(gone).map(|old| old.hash).collect();
        let known = |hash: &HashedKey| state.secrets().any(|old| old.hash == *hash);
        let added = secrets.iter().map(|new| new.hash).filter(|hash| !known(hash)).collect();
        state.set_secrets(secrets);
        state.policy = snapshot.policy;
        state.version = snapshot.version;
        state.in_doubt = false;
        (added, removed)
    }

    /// Marks the key as in doubt; returns whether it was not before.
    pub(super) fn mark_in_doubt(&self) -> bool {
        !std::mem::replace(&mut self.state().in_doubt, true)
    }

    pub(super) fn clear_in_doubt(&self) {
        self.state().in_doubt = false;
    }
}
