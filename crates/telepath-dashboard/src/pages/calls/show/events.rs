//! The events of a call, with what became of their deliveries.

use std::fmt::Write as _;

use telepath_core::clock::Timestamp;
use telepath_core::id::DeliveryId;
use telepath_core::webhook::delivery::DeliveryStatus;
use telepath_store::{AttemptRecord, CallEvent, DeliveryRecord};

use crate::icon::{self, Icon};
use crate::number::grouped;
use crate::time::{Shown, Zone, relative};

pub(super) struct EventRow {
    pub(super) name: &'static str,
    pub(super) at: Shown,
    pub(super) deliveries: Vec<DeliveryRow>,
}

pub(super) struct DeliveryRow {
    pub(super) id: DeliveryId,
    pub(super) icon: Icon,
    pub(super) tone: &'static str,
    pub(super) text: String,
    /// Whether it can be sent again.
    pub(super) resend: bool,
}

impl EventRow {
    pub(super) fn of(event: &CallEvent, zone: &Zone, now: Timestamp, can_resend: bool) -> Self {
        let deliveries =
            event.deliveries.iter().map(|delivery| DeliveryRow::of(delivery, now, can_resend)).collect();
        Self { name: event.kind.name(), at: zone.shown_clock(event.at), deliveries }
    }
}

impl DeliveryRow {
    fn of(delivery: &DeliveryRecord, now: Timestamp, can_resend: bool) -> Self {
        let retried = delivery.attempts > 1;
        let (icon, tone) = match delivery.status {
            DeliveryStatus::Delivered if retried => (icon::ROTATE, "tone-warn"),
            DeliveryStatus::Delivered => (icon::CIRCLE_CHECK, "tone-ok"),
            DeliveryStatus::Pending => (icon::CLOCK, "tone-info"),
            DeliveryStatus::Exhausted => (icon::CIRCLE_ALERT, "tone-bad"),
            DeliveryStatus::Held | DeliveryStatus::Canceled => (icon::PAUSE, "tone-warn"),
        };
        let resend = can_resend && delivery.status != DeliveryStatus::Pending;
        Self { id: delivery.id, icon, tone, text: what_became(delivery, now), resend }
    }
}

/// The attempts in words, at most the first and the last.
fn what_became(delivery: &DeliveryRecord, now: Timestamp) -> String {
    let mut text = match delivery.attempt_records.as_slice() {
        [] => "not sent yet".to_owned(),
        [only] => attempt(only),
        [first, .., last] => {
            format!("{}; attempt {}: {}", attempt(first), grouped(last.number.into()), attempt(last))
        }
    };
    match (delivery.status, delivery.next_at) {
        (DeliveryStatus::Pending, Some(next)) if next > now => {
            // Writing to a string does not fail.
            let _ = write!(text, "; next attempt {}", relative(next, now));
        }
        (DeliveryStatus::Exhausted, _) => text.push_str("; no further attempts"),
        (DeliveryStatus::Held, _) => text.push_str("; the endpoint is disabled"),
        (DeliveryStatus::Canceled, _) => text.push_str("; the endpoint no longer subscribes to it"),
        (DeliveryStatus::Pending | DeliveryStatus::Delivered, _) => {}
    }
    text
}

fn attempt(attempt: &AttemptRecord) -> String {
    let took = grouped(attempt.duration_ms.into());
    match (attempt.status, attempt.error) {
        (Some(status), _) => format!("{status} in {took} ms"),
        (None, Some(error)) => format!("{} after {took} ms", error.name().replace('_', " ")),
        (None, None) => format!("sent in {took} ms"),
    }
}
