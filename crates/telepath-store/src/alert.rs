//! Alerts. An alert is raised in the transaction that causes it, together with its event and its pending mail. The
//! cooldown is a row, so it holds for all servers on one database.

pub(crate) mod counters;
pub(crate) mod list;
pub(crate) mod mail;
pub(crate) mod raise;
pub(crate) mod security_signal;
pub(crate) mod test_mail;
mod watch;

use std::sync::Arc;

use telepath_core::alert::{AlertRule, AlertSettings, SecuritySignal};

use crate::error::StoreError;
use crate::store::Store;
use raise::AlertWriter;

impl Store {
    /// What [`raise::raise`] needs besides the alert.
    pub(crate) fn alert_writer(&self) -> AlertWriter {
        AlertWriter {
            settings: Arc::clone(&self.alert_settings),
            context: self.context.clone(),
            counters: Arc::clone(&self.alert_counters),
        }
    }

    /// The settings of the alert rules.
    pub fn alert_settings(&self) -> &AlertSettings {
        &self.alert_settings
    }

    /// How many alerts of a rule this process has raised.
    pub fn alerts_raised(&self, rule: AlertRule) -> u64 {
        self.alert_counters.count(rule)
    }

    /// Records a security signal. Never waits; repeating a signal costs a lookup.
    pub fn record_security_signal(&self, signal: SecuritySignal) {
        self.security_signals.record(signal, self.context.clock.steady());
    }

    /// How many signals were dropped because the queue was full.
    pub fn security_signals_dropped(&self) -> u64 {
        self.security_signals.dropped()
    }

    /// Raises alerts for the recorded signals, in transactions of bounded size; returns the number of alerts. Signals
    /// that could not be written wait for the next call.
    pub async fn raise_security_alerts(&self) -> Result<usize, StoreError> {
        let mut raised = 0;
        loop {
            let pending = self.security_signals.pending();
            if pending.is_empty() {
                return Ok(raised);
            }
            let (now, alert_writer, group) = (self.now(), self.alert_writer(), pending.clone());
            raised += self
                .backend
                .write(move |db| Box::pin(security_signal::raise_all(db, group, alert_writer, now)))
                .await?;
            self.security_signals.mark_handled(&pending, self.context.clock.steady());
        }
    }
}
