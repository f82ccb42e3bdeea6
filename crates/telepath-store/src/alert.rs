//! Alerts in the database. One is raised inside the transaction that has a reason for it, together with its event and
//! with the mail that is owed; the cooldown is a row, so it holds for all servers on one database.

mod list;
mod mail;
mod notice;
mod raise;
mod watch;

use std::sync::Arc;

use telepath_core::alert::{AlertRule, AlertSettings, SecuritySignal};

use crate::Store;
use crate::error::StoreError;

pub use mail::{MailFate, OwedMail};
pub(crate) use notice::SecuritySignals;
pub(crate) use raise::{AlertCounters, AlertWriter, raise};

impl Store {
    /// What [`raise`] needs beside the alert.
    pub(crate) fn raiser(&self) -> AlertWriter {
        AlertWriter {
            settings: Arc::clone(&self.alerts),
            seams: self.seams.clone(),
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

    /// Raises the alerts that were noticed since the last time; how many.
    pub async fn handle_notices(&self) -> Result<usize, StoreError> {
        notice::handle(self).await
    }
}
