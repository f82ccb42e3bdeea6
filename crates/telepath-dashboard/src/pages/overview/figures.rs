//! The figures at the top, which follow what happens while the page is open.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use telepath_core::analytics::{CallFigures, Measure};
use telepath_core::id::AccountId;
use telepath_store::{AccountCounts, SignedIn, Store};

use super::range_of;
use crate::call_series::{CallSeries, Range, percentile_ms};
use crate::live::{Event, Feed};
use crate::number::{counted, grouped, milliseconds, percent};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::visit::Visit;

/// The figures of the account and the range.
pub(super) struct Figures {
    pub(super) range: &'static str,
    pub(super) live: String,
    pub(super) calls: String,
    pub(super) reached: String,
    pub(super) reached_of: String,
    pub(super) wait: String,
    pub(super) wait_high: String,
}

/// The part of the page that is replaced.
#[derive(Template)]
#[template(path = "pages/overview_figures.html")]
struct Part {
    figures: Figures,
}

impl Figures {
    /// The figures of a range; `calls` is `None` if there are too many to be added up.
    pub(super) fn of(counts: &AccountCounts, calls: Option<&CallFigures>, range: Range) -> Self {
        let dash = || "–".to_owned();
        let wait = |percent| {
            let wait = calls.and_then(|calls| percentile_ms(calls, Measure::TurnWait, percent));
            milliseconds(wait)
        };
        Self {
            range: range.label(),
            live: grouped(counts.live_calls),
            calls: calls.map_or_else(dash, |calls| grouped(calls.calls())),
            reached: calls.map_or_else(dash, |calls| percent(calls.reached, calls.calls())),
            reached_of: calls.map_or_else(String::new, |calls| {
                let all = counted(calls.calls(), "call", "calls");
                format!("{} of {all}", grouped(calls.reached))
            }),
            wait: wait(50),
            wait_high: wait(95),
        }
    }
}

/// Statistics change when calls end, and cost more to read than counts.
const STATISTICS_EVERY: u32 = 5;

struct Counters {
    store: Arc<Store>,
    account: AccountId,
    range: Range,
    reads: u32,
    calls: Option<CallFigures>,
    /// What the page shows.
    shown: String,
}

impl Feed for Counters {
    const INTERVAL: Duration = Duration::from_secs(2);

    async fn read(&mut self) -> Result<Vec<Event>, Problem> {
        if self.reads.is_multiple_of(STATISTICS_EVERY) {
            let now = self.store.clock().now();
            let series = CallSeries::read(&self.store, self.account, self.range, now, Vec::new()).await?;
            self.calls = series.total().cloned();
        }
        self.reads = self.reads.wrapping_add(1);
        let counts = self.store.account_counts(self.account).await?;
        let figures = Figures::of(&counts, self.calls.as_ref(), self.range);
        let html = Part { figures }.render().map_err(|error| Problem::Failed(error.to_string()))?;
        if html == self.shown {
            return Ok(Vec::new());
        }
        self.shown.clone_from(&html);
        Ok(vec![Event::html(html)])
    }
}

/// The figures whenever they change.
pub(super) async fn live(visit: Visit, caller: SignedIn) -> Outcome {
    Ok(Reply::live(Counters {
        store: Arc::clone(visit.store()),
        account: caller.session.account,
        range: range_of(&visit),
        reads: 0,
        calls: None,
        shown: String::new(),
    }))
}
