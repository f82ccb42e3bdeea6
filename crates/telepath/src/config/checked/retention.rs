//! `[retention]`: age and size of the request log, age of statistics, calls and audit entries.

use std::time::Duration;

use telepath_store::Retention;

use super::{Check, values};

impl Check<'_> {
    pub(super) fn retention(&mut self) -> Option<Retention> {
        let age = self.required("retention.request_log", values::duration);
        let megabytes = self.count("retention.request_log_megabytes");
        let analytics = self.required("retention.analytics", days);
        let calls = self.optional("retention.calls", days);
        let audit = self.optional("retention.audit", days);
        Some(Retention {
            age: age?,
            bytes: u64::from(megabytes?) * 1024 * 1024,
            analytics: analytics?,
            calls: calls?,
            audit: audit?,
        })
    }
}

/// Records of the current day are always kept: the metrics of trunks are made of them.
fn days(text: &str) -> Result<Duration, String> {
    let age = values::duration(text)?;
    if age < Duration::from_hours(24) { Err("must be at least 1d".to_owned()) } else { Ok(age) }
}
