//! The status of a delivery in a word.

use telepath_core::webhook::delivery::DeliveryStatus;

use crate::chip::Chip;
use crate::icon;

pub(super) const fn chip(status: DeliveryStatus) -> Chip {
    let (word, class, icon) = match status {
        DeliveryStatus::Pending => ("Waiting", "chip-info", icon::CLOCK),
        DeliveryStatus::Delivered => ("Delivered", "chip-ok", icon::CHECK),
        DeliveryStatus::Exhausted => ("Failed", "chip-bad", icon::WARNING),
        DeliveryStatus::Held => ("Held", "chip-warn", icon::PAUSE),
        DeliveryStatus::Canceled => ("Canceled", "", icon::REVOKE),
    };
    Chip::new(class, icon, word)
}
