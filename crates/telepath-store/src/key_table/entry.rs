//! One key in memory: small, because there may be a million, and complete enough to decide about a request.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, Id as _, KeyId};
use telepath_core::key::{KeyPolicy, Verdict};
use telepath_core::limit::{Phase, RateLimit, Take, Window, WindowState};
use telepath_core::secret::HashedKey;

use super::Admission;

/// A key as a transaction left it.
pub(crate) struct Snapshot {
    pub(crate) id: KeyId,
    pub(crate) account: AccountId,
    pub(crate) policy: KeyPolicy,
    /// Grows with every change of the key.
    pub(crate) version: i64,
    pub(crate) secrets: Vec<SnapshotSecret>,
}

/// One secret of a [`Snapshot`].
pub(crate) struct SnapshotSecret {
    pub(crate) hash: HashedKey,
    pub(crate) expires_at: Option<Timestamp>,
}

/// What a window that is counted elsewhere must know of a key that may be used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowContext {
    pub(crate) limit: RateLimit,
    pub(crate) phase: Phase,
    /// The count that this server saw last.
    pub(crate) known: Window,
}

/// What became of a request in a window that is counted elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TakeResult {
    pub(crate) admitted: bool,
    /// The window, this request included if it was counted.
    pub(crate) window: Window,
}

/// One secret; `expires` of `i64::MAX` is never.
struct Secret {
    hash: HashedKey,
    expires: i64,
}

impl Secret {
    fn new(secret: &SnapshotSecret) -> Self {
        Self { hash: secret.hash, expires: secret.expires_at.map_or(i64::MAX, Timestamp::unix_ms) }
    }
}

struct State {
    policy: KeyPolicy,
    window: Window,
    /// Nearly every key has one secret, which costs no allocation of its own.
    first: Option<Secret>,
    #[expect(clippy::box_collection, reason = "a million empty lists cost 8 bytes each instead of 24")]
    more: Option<Box<Vec<Secret>>>,
    version: i64,
    /// Whether what the database holds of the key is not known.
    in_doubt: bool,
}

impl State {
    /// Everything that admission depends on, but the window.
    fn judge(&self, hash: &HashedKey, address: IpAddr, now: Timestamp) -> Result<(), Admission> {
        if self.in_doubt {
            return Err(Admission::InDoubt);
        }
        let alive = self.secrets().any(|secret| secret.hash == *hash && now.unix_ms() < secret.expires);
        if !alive {
            return Err(Admission::Dead);
        }
        match self.policy.judge(address, now) {
            Verdict::Dead => Err(Admission::Dead),
            Verdict::WrongAddress => Err(Admission::WrongAddress),
            Verdict::Usable => Ok(()),
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
pub(super) struct Entry {
    pub(super) id: KeyId,
    pub(super) account: AccountId,
    state: Mutex<State>,
}

impl Entry {
    pub(super) fn new(snapshot: Snapshot) -> Self {
        let mut state = State {
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

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can leave a half-made state behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has(&self, hash: &HashedKey) -> bool {
        self.state().secrets().any(|secret| secret.hash == *hash)
    }

    pub(super) fn version(&self) -> i64 {
        self.state().version
    }

    /// Whether one of the key's secrets stands in the index under this number.
    pub(super) fn has_number(&self, number: u64) -> bool {
        self.state().secrets().any(|secret| secret.hash.index() == number)
    }

    pub(super) fn admit(&self, hash: &HashedKey, address: IpAddr, now: Timestamp) -> Admission {
        let mut state = self.state();
        if let Err(refusal) = state.judge(hash, address, now) {
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

    pub(super) fn judge(
        &self,
        hash: &HashedKey,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<WindowContext, Admission> {
        let state = self.state();
        state.judge(hash, address, now)?;
        Ok(WindowContext { limit: state.policy.rate_limit, phase: self.phase(), known: state.window })
    }

    pub(super) fn settle(
        &self,
        hash: &HashedKey,
        address: IpAddr,
        now: Timestamp,
        taken: TakeResult,
    ) -> Admission {
        let mut state = self.state();
        state.window.learn(taken.window);
        if let Err(refusal) = state.judge(hash, address, now) {
            return refusal;
        }
        // The count is that of the request's own moment; a later one may be known already.
        let window = taken.window.state(state.policy.rate_limit);
        if taken.admitted {
            Admission::Admitted { scopes: state.policy.scopes, window }
        } else {
            // Also where only this server's share of the window is used up, or the limit was raised meanwhile.
            Admission::Limited { window: WindowState { remaining: 0, ..window } }
        }
    }

    fn phase(&self) -> Phase {
        Phase::of_id(self.id.as_bytes())
    }

    /// Adds secrets that are not among the key's yet.
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

    /// Takes over a newer state; which secrets came and which went.
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

    /// Marks the key as in doubt; whether it was not yet.
    pub(super) fn mark_in_doubt(&self) -> bool {
        !std::mem::replace(&mut self.state().in_doubt, true)
    }

    pub(super) fn clear_in_doubt(&self) {
        self.state().in_doubt = false;
    }
}
