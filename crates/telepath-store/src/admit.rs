//! Admission of a request, wherever its window is counted. With shared windows the key is judged before the count is asked
//! for and again when it is known: only the second judgement admits, so whatever changed while the request waited is seen.

use std::net::IpAddr;

use telepath_core::clock::Timestamp;
use telepath_core::secret::HashedKey;

use crate::key_table::{Admission, KeyHandle};
use crate::limit::shared::KeyWindows;
use crate::store::Store;

impl Store {
    /// The moment of admission of a request by a key, wherever its window is counted.
    pub async fn admit(
        &self,
        handle: &KeyHandle,
        hash: &HashedKey,
        address: IpAddr,
        now: Timestamp,
    ) -> Admission {
        match &self.windows {
            KeyWindows::Memory => self.keys.admit(handle, hash, address, now),
            KeyWindows::Shared(limiter) => {
                let window = match self.keys.judge(handle, hash, address, now) {
                    Ok(window) => window,
                    Err(refusal) => return refusal,
                };
                let servers = self.cluster.nodes();
                match limiter.take(handle.key_id(), window, servers, &**self.clock()).await {
                    Some(taken) => self.keys.settle(handle, hash, address, self.now(), taken),
                    None => Admission::LimiterUnavailable,
                }
            }
        }
    }
}
