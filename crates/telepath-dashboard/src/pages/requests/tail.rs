//! The live tail: requests as they come, with the filters of the list.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use telepath_core::id::AccountId;
use telepath_core::request::{RequestFilter, RequestRecord};
use telepath_store::{RequestCursor, RequestOrder, SignedIn, Store};

use super::filter_of;
use super::query::Query;
use super::row::{self, Row};
use crate::live::{Event, Feed};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::time::Zone;
use crate::visit::Visit;

/// The most requests that are shown of a second.
const SHOWN: usize = 20;
/// The most requests that are read of a second. What comes beyond them is left out, so that the tail keeps up.
const READ: usize = 2000;

/// What the page needs to follow the log.
pub(super) struct Tail {
    pub(super) stream: String,
    /// The page with what comes after the requests that it shows.
    pub(super) refresh: String,
}

impl Tail {
    /// What comes after a position.
    pub(super) fn after(query: &Query, position: RequestCursor) -> Self {
        Self { stream: query.stream(position), refresh: query.live(Some(position)) }
    }
}

/// Rows without the page around them.
#[derive(Template)]
#[template(
    source = "{% for row in rows %}{% include \"pages/request_row.html\" %}{% endfor %}",
    ext = "html"
)]
struct Rows {
    rows: Vec<Row>,
}

struct Following {
    store: Arc<Store>,
    account: AccountId,
    filter: RequestFilter,
    at: RequestCursor,
    zone: Zone,
    /// Of how many requests the page knows that one is shown.
    one_of: usize,
}

/// Evenly chosen requests, at most [`SHOWN`], and of how many each is one.
fn sample<T>(mut all: Vec<T>) -> (Vec<T>, usize) {
    let one_of = all.len().div_ceil(SHOWN).max(1);
    let mut place = 0;
    all.retain(|_| {
        place += 1;
        (place - 1) % one_of == 0
    });
    (all, one_of)
}

impl Following {
    async fn rows(&self, mut requests: Vec<RequestRecord>) -> Result<String, Problem> {
        requests.reverse();
        let names = self.store.names(self.account, &row::senders(&requests)).await?;
        let now = self.store.clock().now();
        let rows = requests.into_iter().map(|request| Row::of(request, &names, &self.zone, now)).collect();
        Rows { rows }.render().map_err(|error| Problem::Failed(error.to_string()))
    }
}

impl Feed for Following {
    const INTERVAL: Duration = Duration::from_secs(1);

    async fn read(&mut self) -> Result<Vec<Event>, Problem> {
        let order = RequestOrder::Oldest;
        let page = self.store.list_requests(self.account, &self.filter, order, READ, Some(self.at)).await?;
        self.at = match page.next {
            Some(next) if page.requests.len() < READ => next,
            Some(_) | None => self.store.request_log_end(self.account).await?,
        };
        let (shown, one_of) = sample(page.requests);
        let mut events = Vec::new();
        if one_of != self.one_of {
            self.one_of = one_of;
            events.push(Event::named("sampled", one_of.to_string()));
        }
        if !shown.is_empty() {
            events.push(Event::html(self.rows(shown).await?).at(self.at.to_string()));
        }
        Ok(events)
    }
}

/// Requests as they come. A page that opens its stream again continues where it was.
pub(super) async fn follow(visit: Visit, caller: SignedIn) -> Outcome {
    let (query, line) = Query::read(&visit.query);
    let Ok(filter) = filter_of(&visit, &caller, &query, &line).await? else {
        return Err(Problem::Malformed("The filter cannot be read."));
    };
    let account = caller.session.account;
    let last = visit.last_event_id.as_deref().and_then(RequestCursor::parse);
    let at = match last.or(query.after) {
        Some(at) => at,
        None => visit.store().request_log_end(account).await?,
    };
    let (store, zone) = (Arc::clone(visit.store()), visit.zone_of(&caller));
    Ok(Reply::live(Following { store, account, filter, at, zone, one_of: 1 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_requests_some_are_shown_evenly() {
        assert_eq!(sample(Vec::<u8>::new()), (vec![], 1));
        assert_eq!(sample((0..20).collect::<Vec<_>>()), ((0..20).collect(), 1));
        assert_eq!(sample((0..21).collect::<Vec<_>>()), ((0..21).step_by(2).collect(), 2));
        for number in [1, 39, 40, 41, 777, READ] {
            let (shown, one_of) = sample((0..number).collect::<Vec<_>>());
            assert!(shown.len() <= SHOWN && shown.len() * one_of >= number, "{number}");
        }
    }
}
