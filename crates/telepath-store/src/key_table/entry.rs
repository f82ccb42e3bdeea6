//! One key in memory: small, because there may be a million of them, and sufficient to decide about a request.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use telepath_core::clock::{ClockReading, SteadyTime, Timestamp};
use telepath_core::id::{AccountId, Id as _, KeyId};
use telepath_core::key::{KeyPolicy, PolicyDecision, Preset};
use telepath_core::limit::quota::{CalendarPeriod, QuotaCounts};
use telepath_core::limit::{Phase, RateLimit, Take, Window, WindowState};
use telepath_core::reach::TrunkAccess;
use telepath_core::scope::ScopeSet;
use telepath_core::secret::HashedKey;

use super::Admission;
use super::counts::{ChangedCounts, QuotaContext, QuotaUse, TakeResult, WindowContext};
use super::secret::Secret;
use super::snapshot::{Snapshot, SnapshotSecret};

/// What a key tells of itself to whoever holds one of its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDescription {
    pub name: Box<str>,
    pub preset: Preset,
    pub scopes: ScopeSet,
    /// Requests per minute.
    pub rate_limit: RateLimit,
    /// `None` is never.
    pub expires_at: Option<Timestamp>,
}

/// How much later than by the limiter's clock a window ends by this server's, before the limiter's clock counts as set
/// back: more than the drift of two clocks within a minute.
const OVERDUE_MS: i64 = 250;

struct KeyState {
    name: Box<str>,
    preset: Preset,
    policy: KeyPolicy,
    window: Window,
    /// The end of the window by the shared limiter's clock.
    shared_end: SteadyTime,
    /// The counts of a key with quotas.
    quota: Option<Box<QuotaCounts>>,
    /// Whether the counts must be written to the database; see [`super::windows`].
    is_changed: bool,
    /// Whether the key was refused as expired. It then stays refused by this process, even if the clock is set back,
    /// until its expiry is changed.
    was_expired: bool,
    /// Nearly every key has one secret, which is stored without an allocation.
    first: Option<Secret>,
    #[expect(clippy::box_collection, reason = "a million empty lists cost 8 bytes each instead of 24")]
    more: Option<Box<Vec<Secret>>>,
    version: i64,
    /// The reload of the table that the version belongs to. After a reload, versions may be used again.
    reload: u32,
    /// The number of the key's last change whose outcome is unknown; 0 for none.
    in_doubt: u32,
}

impl KeyState {
    /// Checks everything that admission depends on, except the window.
    fn check(&mut self, hash: &HashedKey, address: IpAddr, now: ClockReading) -> Result<(), Admission> {
        if self.in_doubt > 0 {
            return Err(Admission::InDoubt);
        }
        let Some(secret) = self.secrets_mut().find(|secret| secret.hash == *hash) else {
            return Err(Admission::Unusable);
        };
        if secret.has_ended(now) {
            // Stays refused even if the clock is set back; the end of a secret is never extended.
            secret.end_for_good();
            return Err(Admission::Unusable);
        }
        self.was_expired |= self.policy.expires_at.is_some_and(|end| now.wall >= end);
        if self.was_expired {
            return Err(Admission::Unusable);
        }
        match self.policy.decide(address, now.wall) {
            PolicyDecision::Unusable => Err(Admission::Unusable),
            PolicyDecision::WrongAddress => Err(Admission::WrongAddress),
            PolicyDecision::Usable => Ok(()),
        }
    }

    /// The quota that is used up, if any.
    fn exhausted_quota(&self, now: Timestamp) -> Option<WindowState> {
        self.quota.as_deref()?.exhausted(self.policy.quotas, now)
    }

    fn count_in_quotas(&mut self, now: Timestamp) {
        if !self.policy.quotas.are_unlimited() {
            self.quota.get_or_insert_default().count(now);
        }
    }

    /// Remembers the counts of the shared limiter.
    fn learn_quota(&mut self, used: QuotaUse) {
        let counts = self.quota.get_or_insert_default();
        counts.day.learn(CalendarPeriod::day_of(used.at), used.day);
        counts.month.learn(CalendarPeriod::month_of(used.at), used.month);
    }

    fn admitted(&self, window: WindowState) -> Admission {
        Admission::Admitted { scopes: self.policy.scopes, trunks: self.policy.trunks.clone(), window }
    }

    fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.first.iter().chain(self.more.iter().flat_map(|more| more.iter()))
    }

    fn secrets_mut(&mut self) -> impl Iterator<Item = &mut Secret> {
        self.first.iter_mut().chain(self.more.iter_mut().flat_map(|more| more.iter_mut()))
    }

    /// Remembers a count of the shared limiter. Replies may arrive in another order than they were sent.
    fn learn(&mut self, taken: TakeResult) {
        let (known, new) = (self.window, taken.window);
        if taken.shared_end == self.shared_end {
            // A later reply was on its way longer, so the earlier end is closer to the true one.
            self.window = Window::counted(known.end().min(new.end()), known.used().max(new.used()));
        } else if new.end() > known.end() {
            (self.window, self.shared_end) = (new, taken.shared_end);
        }
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
    pub(super) fn new(snapshot: Snapshot, reload: u32, now: ClockReading) -> Self {
        let mut state = KeyState {
            name: snapshot.name,
            preset: snapshot.preset,
            policy: snapshot.policy,
            window: Window::default(),
            shared_end: SteadyTime::default(),
            quota: None,
            is_changed: false,
            was_expired: false,
            first: None,
            more: None,
            version: snapshot.version,
            reload,
            in_doubt: 0,
        };
        state.set_secrets(snapshot.secrets.iter().map(|secret| Secret::new(secret, now)).collect());
        Self { id: snapshot.id, account: snapshot.account, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, KeyState> {
        // Code under this lock does not panic, so the state is consistent even if the lock is poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has(&self, hash: &HashedKey) -> bool {
        self.state().secrets().any(|secret| secret.hash == *hash)
    }

    pub(super) fn description(&self) -> KeyDescription {
        let state = self.state();
        KeyDescription {
            name: state.name.clone(),
            preset: state.preset,
            scopes: state.policy.scopes,
            rate_limit: state.policy.rate_limit,
            expires_at: state.policy.expires_at,
        }
    }

    /// Whether one of the key's secrets has this index number.
    pub(super) fn has_number(&self, number: u64) -> bool {
        self.state().secrets().any(|secret| secret.hash.index() == number)
    }

    /// Also returns whether the counts have changed for the first time since [`KeyEntry::take_changed_counts`].
    pub(super) fn admit(&self, hash: &HashedKey, address: IpAddr, now: ClockReading) -> (Admission, bool) {
        let mut state = self.state();
        if let Err(refusal) = state.check(hash, address, now) {
            return (refusal, false);
        }
        if let Some(window) = state.exhausted_quota(now.wall) {
            return (Admission::Limited { window }, false);
        }
        let limit = state.policy.rate_limit;
        match state.window.take(limit, self.phase(), now.steady) {
            Take::Admitted(window) => {
                state.count_in_quotas(now.wall);
                let is_first_change = !std::mem::replace(&mut state.is_changed, true);
                (state.admitted(window), is_first_change)
            }
            Take::Full(window) => (Admission::Limited { window }, false),
        }
    }

    /// The counts to write to the database.
    pub(super) fn take_changed_counts(&self) -> ChangedCounts {
        let mut state = self.state();
        state.is_changed = false;
        ChangedCounts { key: self.id, window: state.window, quota: state.quota.as_deref().copied() }
    }

    /// Marks the counts as not written; returns whether it was not marked before.
    pub(super) fn mark_changed(&self) -> bool {
        !std::mem::replace(&mut self.state().is_changed, true)
    }

    /// Continues a window of the previous run.
    pub(super) fn set_window(&self, window: Window) {
        self.state().window = window;
    }

    /// Continues the quotas of the previous run.
    pub(super) fn set_quota(&self, counts: QuotaCounts) {
        self.state().quota = Some(Box::new(counts));
    }

    pub(super) fn is_live(&self, hash: &HashedKey, now: Timestamp) -> bool {
        let state = self.state();
        let policy = &state.policy;
        !policy.revoked
            && policy.expires_at.is_none_or(|end| now < end)
            && state.secrets().any(|secret| secret.hash == *hash && secret.is_valid_at(now))
    }

    pub(super) fn current_rights(
        &self,
        hash: &HashedKey,
        address: IpAddr,
        now: ClockReading,
    ) -> Option<(ScopeSet, TrunkAccess)> {
        let mut state = self.state();
        state.check(hash, address, now).ok()?;
        Some((state.policy.scopes, state.policy.trunks.clone()))
    }

    pub(super) fn check(
        &self,
        hash: &HashedKey,
        address: IpAddr,
        now: ClockReading,
    ) -> Result<WindowContext, Admission> {
        let mut state = self.state();
        state.check(hash, address, now)?;
        Ok(WindowContext {
            limit: state.policy.rate_limit,
            phase: self.phase(),
            known: state.window,
            known_end: state.shared_end,
            is_over: !state.window.is_open(now.steady.plus_ms(-OVERDUE_MS)),
            quota: (!state.policy.quotas.are_unlimited()).then(|| QuotaContext {
                quotas: state.policy.quotas,
                known: state.quota.as_deref().copied().unwrap_or_default(),
                at: now.wall,
            }),
        })
    }

    pub(super) fn admit_counted(
        &self,
        hash: &HashedKey,
        address: IpAddr,
        now: ClockReading,
        taken: TakeResult,
    ) -> Admission {
        let mut state = self.state();
        state.learn(taken);
        if let Some(used) = taken.quota {
            state.learn_quota(used);
        }
        if let Err(refusal) = state.check(hash, address, now) {
            return refusal;
        }
        let at = taken.quota.map_or(now.wall, |used| used.at);
        if taken.quota.is_none_or(|used| used.is_exhausted)
            && let Some(window) = state.exhausted_quota(at)
        {
            return Admission::Limited { window };
        }
        if taken.admitted && taken.quota.is_none() {
            // The limiter is not available, or the key had no quotas when the request was counted.
            state.count_in_quotas(now.wall);
        }
        // The count at the time of the request; a later one may already be known.
        let window = taken.state(state.policy.rate_limit, now.steady);
        if taken.admitted {
            state.admitted(window)
        } else {
            // Also when only this server's share is used up, or when the limit was raised in the meantime.
            Admission::Limited { window: window.exhausted() }
        }
    }

    fn phase(&self) -> Phase {
        Phase::of_id(self.id.as_bytes())
    }

    /// Adds secrets that the key does not have yet.
    pub(super) fn add_secrets(&self, secrets: &[SnapshotSecret], now: ClockReading) {
        let mut state = self.state();
        for secret in secrets {
            let secret = Secret::new(secret, now);
            if state.first.is_none() {
                state.first = Some(secret);
            } else {
                state.more.get_or_insert_default().push(secret);
            }
        }
    }

    /// When a secret in its grace period ends on the steady timeline, as far as this process knows.
    pub(super) fn steady_end(&self, hash: &HashedKey) -> Option<SteadyTime> {
        let state = self.state();
        let secret = state.secrets().find(|secret| secret.hash == *hash)?;
        Some(secret.steady_end())
    }

    /// Applies a newer state, read after the given reload of the table; returns the added and the removed secrets.
    pub(super) fn replace(
        &self,
        snapshot: Snapshot,
        reload: u32,
        now: ClockReading,
    ) -> (Vec<HashedKey>, Vec<HashedKey>) {
        let mut state = self.state();
        if (reload, snapshot.version) <= (state.reload, state.version) {
            return (Vec::new(), Vec::new());
        }
        let secrets: Vec<Secret> = snapshot.secrets.iter().map(|secret| Secret::new(secret, now)).collect();
        let gone = |old: &&Secret| !secrets.iter().any(|new| new.hash == old.hash);
        let removed = state.secrets().filter(gone).map(|old| old.hash).collect();
        let known = |hash: &HashedKey| state.secrets().any(|old| old.hash == *hash);
        let added = secrets.iter().map(|new| new.hash).filter(|hash| !known(hash)).collect();
        let secrets = secrets
            .into_iter()
            .map(|secret| match state.secrets().find(|old| old.hash == secret.hash) {
                Some(known) => secret.bounded_by(known),
                None => secret,
            })
            .collect();
        // What was refused as expired stays refused, unless the expiry was changed.
        state.set_secrets(secrets);
        state.was_expired &= state.policy.expires_at == snapshot.policy.expires_at;
        (state.name, state.preset, state.policy) = (snapshot.name, snapshot.preset, snapshot.policy);
        (state.reload, state.version) = (reload, snapshot.version);
        (added, removed)
    }

    /// Whether the last reload of the table did not find the key.
    pub(super) fn is_older_than(&self, reload: u32) -> bool {
        self.state().reload < reload
    }

    pub(super) fn is_revoked(&self) -> bool {
        self.state().policy.revoked
    }

    /// Ends a key that is no longer in the database, also for handles found earlier; returns its secrets.
    pub(super) fn end(&self) -> Vec<HashedKey> {
        let mut state = self.state();
        let removed = state.secrets().map(|secret| secret.hash).collect();
        state.set_secrets(Vec::new());
        state.policy.revoked = true;
        removed
    }

    /// Notes a change whose outcome is unknown.
    pub(super) fn mark_in_doubt(&self, number: u32) {
        let mut state = self.state();
        state.in_doubt = state.in_doubt.max(number);
    }

    pub(super) fn in_doubt(&self) -> u32 {
        self.state().in_doubt
    }

    /// Resolves the changes of unknown outcome up to a number; returns whether there is a later one.
    pub(super) fn resolve(&self, number: u32) -> bool {
        let mut state = self.state();
        if state.in_doubt <= number {
            state.in_doubt = 0;
        }
        state.in_doubt > 0
    }
}
