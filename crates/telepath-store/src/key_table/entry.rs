//! One key in memory: small, because there may be a million, and complete enough to decide about a request.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, Id as _, KeyId};
use telepath_core::key::{KeyPolicy, LastUse, Verdict};
use telepath_core::limit::{Phase, Take, Window};
use telepath_core::secret::HashedKey;

use super::Admission;

/// A key as a transaction left it.
pub(crate) struct Snapshot {
    pub(crate) id: KeyId,
    pub(crate) account: AccountId,
    pub(crate) policy: KeyPolicy,
    /// Grows with every change of the key.
    pub(crate) version: i64,
    /// Used only when the key is not in memory yet: afterwards the counts in memory are the newer ones.
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) secrets: Vec<SnapshotSecret>,
}

/// One secret of a [`Snapshot`].
pub(crate) struct SnapshotSecret {
    pub(crate) hash: HashedKey,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) last_use: Option<LastUse>,
}

/// The use of a key at one moment.
pub(crate) struct LiveUse {
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    /// The last use of each secret.
    pub(crate) secrets: Vec<(HashedKey, Option<LastUse>)>,
}

impl LiveUse {
    /// The last use of any secret.
    pub(crate) fn last_use(&self) -> Option<LastUse> {
        self.secrets.iter().filter_map(|(_, last)| *last).max_by_key(|last| last.at)
    }
}

/// [`LastUse`] without padding; a `time` of `NEVER` is no use at all.
#[derive(Clone, Copy)]
struct PackedUse {
    time: i64,
    address: [u8; 16],
}

const NEVER: i64 = i64::MIN;

impl PackedUse {
    fn pack(last: Option<LastUse>) -> Self {
        let Some(LastUse { at, address }) = last else {
            return Self { time: NEVER, address: [0; 16] };
        };
        let address = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        Self { time: at.unix_ms(), address: address.octets() }
    }

    fn unpack(self) -> Option<LastUse> {
        let address = IpAddr::V6(Ipv6Addr::from(self.address)).to_canonical();
        (self.time != NEVER).then_some(LastUse { at: Timestamp::from_unix_ms(self.time), address })
    }
}

/// One secret; `expires` of `i64::MAX` is never.
struct Secret {
    hash: HashedKey,
    expires: i64,
    last: PackedUse,
}

impl Secret {
    fn new(secret: &SnapshotSecret) -> Self {
        Self {
            hash: secret.hash,
            expires: secret.expires_at.map_or(i64::MAX, Timestamp::unix_ms),
            last: PackedUse::pack(secret.last_use),
        }
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
    requests: u64,
    errors: u64,
    /// Of those, what the database does not have yet.
    new_requests: u32,
    new_errors: u32,
    /// Whether the key is in the list of those to be written.
    listed: bool,
    /// Whether what the database holds of the key is not known.
    unsure: bool,
}

impl State {
    fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.first.iter().chain(self.more.iter().flat_map(|more| more.iter()))
    }

    fn secret_mut(&mut self, hash: &HashedKey) -> Option<&mut Secret> {
        self.first
            .iter_mut()
            .chain(self.more.iter_mut().flat_map(|more| more.iter_mut()))
            .find(|secret| secret.hash == *hash)
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
            requests: snapshot.requests,
            errors: snapshot.errors,
            new_requests: 0,
            new_errors: 0,
            listed: false,
            unsure: false,
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
        if state.unsure {
            return Admission::Unsure;
        }
        let alive = state.secrets().any(|secret| secret.hash == *hash && now.unix_ms() < secret.expires);
        if !alive {
            return Admission::Dead;
        }
        match state.policy.judge(address, now) {
            Verdict::Dead => Admission::Dead,
            Verdict::WrongAddress => Admission::WrongAddress,
            Verdict::Usable => {
                let limit = state.policy.rate_limit;
                match state.window.take(limit, Phase::of_id(self.id.as_bytes()), now) {
                    Take::Admitted(window) => Admission::Admitted { scopes: state.policy.scopes, window },
                    Take::Full(window) => Admission::Limited { window },
                }
            }
        }
    }

    pub(super) fn is_live(&self, hash: &HashedKey, now: Timestamp) -> bool {
        let state = self.state();
        let policy = &state.policy;
        !policy.revoked
            && policy.expires_at.is_none_or(|end| now < end)
            && state.secrets().any(|secret| secret.hash == *hash && now.unix_ms() < secret.expires)
    }

    /// Counts an answer; whether the key is to be put on the list of those to be written.
    pub(super) fn record(&self, hash: &HashedKey, status: u16, address: IpAddr, now: Timestamp) -> bool {
        let mut state = self.state();
        let error = u32::from(status >= 400);
        state.requests = state.requests.saturating_add(1);
        state.errors = state.errors.saturating_add(error.into());
        state.new_requests = state.new_requests.saturating_add(1);
        state.new_errors = state.new_errors.saturating_add(error);
        if let Some(secret) = state.secret_mut(hash)
            && secret.last.time <= now.unix_ms()
        {
            secret.last = PackedUse::pack(Some(LastUse { at: now, address }));
        }
        !std::mem::replace(&mut state.listed, true)
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
        let mut secrets: Vec<Secret> = snapshot.secrets.iter().map(Secret::new).collect();
        let mut removed = Vec::new();
        for old in state.secrets() {
            match secrets.iter_mut().find(|new| new.hash == old.hash) {
                Some(new) if new.last.time < old.last.time => new.last = old.last,
                Some(_) => {}
                None => removed.push(old.hash),
            }
        }
        let known = |hash: &HashedKey| state.secrets().any(|old| old.hash == *hash);
        let added = secrets.iter().map(|new| new.hash).filter(|hash| !known(hash)).collect();
        state.set_secrets(secrets);
        state.policy = snapshot.policy;
        state.version = snapshot.version;
        state.unsure = false;
        (added, removed)
    }

    /// Marks the key as in doubt; whether it was not yet.
    pub(super) fn doubt(&self) -> bool {
        !std::mem::replace(&mut self.state().unsure, true)
    }

    pub(super) fn clear_doubt(&self) {
        self.state().unsure = false;
    }

    pub(super) fn live_use(&self) -> LiveUse {
        let state = self.state();
        LiveUse {
            requests: state.requests,
            errors: state.errors,
            secrets: state.secrets().map(|secret| (secret.hash, secret.last.unpack())).collect(),
        }
    }

    /// What the database does not have yet. From here on the key may be listed again.
    pub(super) fn spend(entry: &Arc<Self>) -> Spent {
        let mut state = entry.state();
        state.listed = false;
        let last = |secret: &Secret| secret.last.unpack().map(|last| (secret.hash, last));
        Spent {
            entry: Arc::clone(entry),
            requests: std::mem::take(&mut state.new_requests),
            errors: std::mem::take(&mut state.new_errors),
            secrets: state.secrets().filter_map(last).collect(),
        }
    }
}

/// Counts on their way to the database.
pub(crate) struct Spent {
    entry: Arc<Entry>,
    pub(crate) requests: u32,
    pub(crate) errors: u32,
    pub(crate) secrets: Vec<(HashedKey, LastUse)>,
}

impl Spent {
    pub(crate) fn key_id(&self) -> KeyId {
        self.entry.id
    }

    pub(crate) fn last_use(&self) -> Option<LastUse> {
        self.secrets.iter().map(|(_, last)| *last).max_by_key(|last| last.at)
    }

    pub(super) fn entry(&self) -> Arc<Entry> {
        Arc::clone(&self.entry)
    }

    /// Gives the counts back when they were not written; whether the key must be listed again.
    pub(super) fn settle(&self, written: bool) -> bool {
        if written {
            return false;
        }
        let mut state = self.entry.state();
        state.new_requests = state.new_requests.saturating_add(self.requests);
        state.new_errors = state.new_errors.saturating_add(self.errors);
        !std::mem::replace(&mut state.listed, true)
    }
}
