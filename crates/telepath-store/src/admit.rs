//! Admission of a request. With a shared limiter, the key is checked before the request is counted and again
//! afterwards. Only the second check admits, so a change of the key made while the request waited takes effect.

use std::net::IpAddr;

use telepath_core::clock::ClockReading;
use telepath_core::reach::TrunkAccess;
use telepath_core::scope::ScopeSet;
use telepath_core::secret::HashedKey;

use crate::key_table::{Admission, KeyHandle};
use crate::limit::shared::KeyWindows;
use crate::store::Store;

impl Store {
    /// The scopes and trunks of a key as it may be used now, with this secret and from this address; `None` if it may not be
    /// used or if this server cannot know it. Counts nothing: for responses that are still being sent after their admission.
    pub fn current_rights(
        &self,
        handle: &KeyHandle,
        hash: &HashedKey,
        address: IpAddr,
    ) -> Option<(ScopeSet, TrunkAccess)> {
        self.keys.current_rights(handle, hash, address, self.clock().read())
    }

    /// Decides whether a request with this key is admitted, and counts it in the key's window.
    pub async fn admit(
        &self,
        handle: &KeyHandle,
        hash: &HashedKey,
        address: IpAddr,
        now: ClockReading,
    ) -> Admission {
        match &self.windows {
            KeyWindows::Memory => self.keys.admit(handle, hash, address, now),
            KeyWindows::Shared(limiter) => {
                let window = match self.keys.check(handle, hash, address, now) {
                    Ok(window) => window,
                    Err(refusal) => return refusal,
                };
                let servers = self.cluster.nodes();
                match limiter.take(handle.key_id(), window, servers, &**self.clock()).await {
                    Some(taken) => self.keys.admit_counted(handle, hash, address, self.clock().read(), taken),
                    None => Admission::LimiterUnavailable,
                }
            }
        }
    }
}
