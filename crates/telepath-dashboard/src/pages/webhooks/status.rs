//! The status of a delivery in a word.

use telepath_core::webhook::delivery::DeliveryStatus;

use crate::icon::{self, Icon};

/// A status as an icon and a word.
pub(super) struct Chip {
    pub(super) word: &'static str,
    pub(super) class: &'static str,
    pub(super) icon: Icon,
}

pub(super) const fn chip(status: DeliveryStatus) -> Chip {
    let (word, class, icon) = match status {
        DeliveryStatus::Pending => ("Waiting", "chip-info", icon::CLOCK),
        DeliveryStatus::Delivered => ("Delivered", "chip-ok", icon::CHECK),
        DeliveryStatus::Exhausted => ("Failed", "chip-bad", icon::WARNING),
        DeliveryStatus::Held => ("Held", "chip-warn", icon::PAUSE),
        DeliveryStatus::Canceled => ("Canceled", "", icon::REVOKE),
    };
    Chip { word, class, icon }
}
