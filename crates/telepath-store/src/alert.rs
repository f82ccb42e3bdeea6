//! Alerts in the database. One is raised inside the transaction that has a reason for it, together with its event and
//! with the mail that is owed; the cooldown is a row, so it holds for all servers on one database.

pub(crate) mod counters;
mod list;
pub(crate) mod mail;
pub(crate) mod raise;
pub(crate) mod security_signal;
mod watch;

use std::sync::Arc;

use telepath_core::alert::{AlertRule, AlertSettings, SecuritySignal};

use crate::error::StoreError;
use crate::store::Store;
use raise::AlertWriter;

impl Store {
    /// What [`raise::raise`] needs beside the alert.
    pub(crate) fn raiser(&self) -> AlertWriter {
        AlertWriter {
            settings: Arc::clone(&self.alerts),
            context: self.context.clone(),
            raised: Arc::clone(&self.raised),
        }
    }

    /// What the rules go by.
    pub fn alert_settings(&self) -> &AlertSettings {
        &self.alerts
    }

    /// How many alerts of a rule this process has raised.
    pub fn alerts_raised(&self, rule: AlertRule) -> u64 {
        self.raised.count(rule)
    }

    /// Notes something that was seen on the way of a request. Never waits; the same thing seen again costs a look-up.
    pub fn notice(&self, notice: SecuritySignal) {
        self.notices.note(notice, self.now());
    }

    /// How many notices found no place since the start.
    pub fn notices_dropped(&self) -> u64 {
        self.notices.dropped()
    }

    /// Raises the alerts that were noticed since the last time, in transactions of bounded size; how many. What could not be
    /// written waits for the next time.
    pub async fn handle_notices(&self) -> Result<usize, StoreError> {
        let mut raised = 0;
        loop {
            let waiting = self.notices.waiting();
            if waiting.is_empty() {
                return Ok(raised);
            }
            let (now, raiser, group) = (self.now(), self.raiser(), waiting.clone());
            raised += self
                .backend
                .write(move |db| Box::pin(security_signal::raise_all(db, group, raiser, now)))
                .await?;
            self.notices.handled(&waiting, now);
        }
    }
}
