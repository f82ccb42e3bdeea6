//! The windows of keys: in memory, or shared by all servers with a fallback for an outage.

use std::time::Duration;

use telepath_core::clock::Clock;
use telepath_core::id::KeyId;

use super::OutagePolicy;
use super::outage::OutageTracker;
use super::redis::{NoReply, RedisWindows};
use super::{SharedWindows, WindowOptions};
use crate::error::StoreError;
use crate::key_table::counts::{TakeResult, WindowContext};

/// Where the windows of keys are counted.
pub(crate) enum KeyWindows {
    Memory,
    Shared(Box<SharedLimiter>),
}

/// The shared limiter, with the fallback for outages.
pub(crate) struct SharedLimiter {
    redis: RedisWindows,
    outage: OutagePolicy,
    fallback: OutageTracker,
}

impl KeyWindows {
    pub(crate) async fn open(options: &WindowOptions) -> Result<Self, StoreError> {
        Ok(match options {
            WindowOptions::Memory => KeyWindows::Memory,
            WindowOptions::Shared(shared) => KeyWindows::Shared(Box::new(SharedLimiter::open(shared).await?)),
        })
    }

    pub(crate) fn are_shared(&self) -> bool {
        match self {
            KeyWindows::Memory => false,
            KeyWindows::Shared(_) => true,
        }
    }

    /// Whether requests can be counted, or are admitted by the fallback.
    pub(crate) fn is_available(&self) -> bool {
        match self {
            KeyWindows::Memory => true,
            KeyWindows::Shared(limiter) => {
                limiter.redis.is_connected() || limiter.outage == OutagePolicy::Local
            }
        }
    }

    /// How long the last request waited for its count; `None` if windows are in memory.
    pub(crate) fn latency(&self) -> Option<Duration> {
        match self {
            KeyWindows::Memory => None,
            KeyWindows::Shared(limiter) => Some(limiter.redis.latency()),
        }
    }
}

impl SharedLimiter {
    async fn open(options: &SharedWindows) -> Result<Self, StoreError> {
        Ok(Self {
            redis: RedisWindows::open(options).await?,
            outage: options.outage,
            fallback: OutageTracker::default(),
        })
    }

    /// Counts one request of a key; `None` if it cannot be counted. During an outage the limit is divided by
    /// `servers`.
    pub(crate) async fn take(
        &self,
        key: KeyId,
        window: WindowContext,
        servers: u32,
        clock: &dyn Clock,
    ) -> Option<TakeResult> {
        match (self.redis.take(key, window, clock).await, self.outage) {
            (Ok(taken), OutagePolicy::Refuse | OutagePolicy::Local) => Some(taken),
            (Err(NoReply), OutagePolicy::Refuse) => None,
            (Err(NoReply), OutagePolicy::Local) => self.fallback.take(key, window, servers, clock.steady()),
        }
    }
}
