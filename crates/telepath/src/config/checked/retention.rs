//! `[retention]`: age and size of the request log.

use telepath_store::Retention;

use super::{Check, values};

impl Check<'_> {
    pub(super) fn retention(&mut self) -> Option<Retention> {
        let age = self.required("retention.request_log", values::duration);
        let megabytes = self.count("retention.request_log_megabytes");
        Some(Retention { age: age?, bytes: u64::from(megabytes?) * 1024 * 1024 })
    }
}
