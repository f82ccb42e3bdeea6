//! Admission by windows that are counted elsewhere. The key is judged before the count is asked for and again when it is
//! known: only the second judgement admits, so whatever changed while the request waited is seen.

use std::net::IpAddr;
use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_core::secret::HashedKey;

use super::Outage;
use super::outage::Outages;
use super::redis::{RedisWindows, Unanswered};
use super::{SharedWindows, WindowOptions};
use crate::Store;
use crate::error::StoreError;
use crate::key_table::{Admission, KeyHandle, Standing, Taken};

/// Where the windows of keys are counted.
pub(crate) enum Windows {
    Memory,
    Shared(Box<Together>),
}

/// Windows that all servers share, and what is done without them.
pub(crate) struct Together {
    redis: RedisWindows,
    outage: Outage,
    alone: Outages,
}

impl Windows {
    pub(crate) async fn open(options: &WindowOptions) -> Result<Self, StoreError> {
        Ok(match options {
            WindowOptions::Memory => Windows::Memory,
            WindowOptions::Shared(shared) => Windows::Shared(Box::new(Together::open(shared).await?)),
        })
    }

    pub(crate) fn are_shared(&self) -> bool {
        match self {
            Windows::Memory => false,
            Windows::Shared(_) => true,
        }
    }

    /// Whether requests can be counted, or are admitted without.
    pub(crate) fn answer(&self) -> bool {
        match self {
            Windows::Memory => true,
            Windows::Shared(together) => together.redis.is_connected() || together.outage == Outage::Local,
        }
    }

    /// How long the last request waited for its count; `None` where nobody waits.
    pub(crate) fn latency(&self) -> Option<Duration> {
        match self {
            Windows::Memory => None,
            Windows::Shared(together) => Some(together.redis.latency()),
        }
    }
}

impl Together {
    async fn open(options: &SharedWindows) -> Result<Self, StoreError> {
        Ok(Self {
            redis: RedisWindows::open(options).await?,
            outage: options.outage,
            alone: Outages::default(),
        })
    }

    async fn take(&self, store: &Store, handle: &KeyHandle, standing: Standing) -> Option<Taken> {
        let key = handle.key_id();
        match (self.redis.take(key, standing).await, self.outage) {
            (Ok(taken), Outage::Refuse | Outage::Local) => Some(taken),
            (Err(Unanswered), Outage::Refuse) => None,
            (Err(Unanswered), Outage::Local) => {
                self.alone.take(key, standing, store.cluster.nodes(), store.now())
            }
        }
    }
}

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
            Windows::Memory => self.keys.admit(handle, hash, address, now),
            Windows::Shared(together) => {
                let standing = match self.keys.judge(handle, hash, address, now) {
                    Ok(standing) => standing,
                    Err(refusal) => return refusal,
                };
                match together.take(self, handle, standing).await {
                    Some(taken) => self.keys.settle(handle, hash, address, self.now(), taken),
                    None => Admission::Uncounted,
                }
            }
        }
    }
}
