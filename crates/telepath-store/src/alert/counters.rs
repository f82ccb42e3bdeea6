//! How many alerts this process has raised, per rule.

use std::sync::atomic::{AtomicU64, Ordering};

use telepath_core::alert::AlertRule;

/// One counter per rule.
#[derive(Debug, Default)]
pub(crate) struct AlertCounters([AtomicU64; AlertRule::ALL.len()]);

impl AlertCounters {
    pub(crate) fn count(&self, rule: AlertRule) -> u64 {
        self.0[rule as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, rule: AlertRule) {
        self.0[rule as usize].fetch_add(1, Ordering::Relaxed);
    }
}
