//! How the deliveries to an endpoint went in the last 24 hours, as pages show it.

use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_store::{DeliveryFigures, EndpointFigures, MOST_COUNTED};

use crate::chart::sparkline::{Point, sparkline};
use crate::number::{grouped, milliseconds, percent};
use crate::time::span;

/// A delivery that is due for longer than this is late.
const LATE: Duration = Duration::from_mins(5);

/// How the deliveries to an endpoint went in the last 24 hours.
pub(super) struct Figures {
    /// Attempted deliveries and failures by hour. Markup.
    pub(super) spark: String,
    /// The share of attempted deliveries that succeeded.
    pub(super) success: String,
    /// `98 of 100`; empty if nothing was attempted.
    pub(super) counts: String,
    pub(super) exhausted: String,
    /// For how long the oldest due delivery has waited; `None` if nothing waits.
    pub(super) waiting: Option<String>,
    pub(super) is_late: bool,
    pub(super) lag: [String; 2],
}

impl Figures {
    pub(super) fn of(figures: &EndpointFigures, now: Timestamp) -> Self {
        let total = figures.total();
        let attempted = total.delivered.saturating_add(total.failed);
        let point = |hour: &telepath_store::AttemptedHour| Point {
            requests: hour.delivered.saturating_add(hour.failed),
            errors: hour.failed,
        };
        let points: Vec<Point> = figures.hours.iter().map(point).collect();
        let waited = figures.waiting_since.map(|since| now.since(since));
        Self {
            spark: sparkline(&points),
            success: percent(total.delivered, attempted),
            counts: match attempted {
                0 => String::new(),
                attempted => format!("{} of {}", grouped(total.delivered), grouped(attempted)),
            },
            exhausted: grouped(figures.exhausted),
            waiting: waited.map(|waited| span(waited).unwrap_or_else(|| "less than a second".to_owned())),
            is_late: waited.is_some_and(|waited| waited > LATE),
            lag: [50, 95].map(|percent| milliseconds(figures.lag(percent).map(whole_milliseconds))),
        }
    }
}

fn whole_milliseconds(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// What the figures leave out, if they do.
pub(super) fn partial(figures: &DeliveryFigures) -> Option<String> {
    let most = grouped(MOST_COUNTED as u64);
    figures
        .is_partial
        .then(|| format!("The figures are those of the latest {most} deliveries of the account."))
}
