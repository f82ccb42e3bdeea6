//! The windows of keys: in memory, or shared by all servers with a fallback for an outage.

use std::time::Duration;

use telepath_core::clock::Clock;
use telepath_core::id::KeyId;

use super::Outage;
use super::outage::Outages;
use super::redis::{RedisWindows, Unanswered};
use super::{SharedWindows, WindowOptions};
use crate::error::StoreError;
use crate::key_table::entry::{Standing, Taken};

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

    /// Counts one request of a key; `None` when it cannot be counted anywhere. `servers` share the limit in an outage.
    pub(crate) async fn take(
        &self,
        key: KeyId,
        standing: Standing,
        servers: u32,
        clock: &dyn Clock,
    ) -> Option<Taken> {
        match (self.redis.take(key, standing).await, self.outage) {
            (Ok(taken), Outage::Refuse | Outage::Local) => Some(taken),
            (Err(Unanswered), Outage::Refuse) => None,
            (Err(Unanswered), Outage::Local) => self.alone.take(key, standing, servers, clock.now()),
        }
    }
}
