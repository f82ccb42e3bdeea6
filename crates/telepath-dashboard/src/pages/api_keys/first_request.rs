//! Waiting for the first request with a new secret.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use telepath_core::id::{AccountId, KeyId};
use telepath_store::{SignedIn, Store};

use super::{NOT_FOUND, key_in_path};
use crate::live::{Event, Feed};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "pages/api_key_first_request.html")]
struct FirstRequest {
    address: IpAddr,
}

struct Waiting {
    store: Arc<Store>,
    account: AccountId,
    key: KeyId,
    /// Whether the page knows of the request.
    told: bool,
}

impl Feed for Waiting {
    const INTERVAL: Duration = Duration::from_secs(1);

    async fn read(&mut self) -> Result<Vec<Event>, Problem> {
        if self.told {
            return Ok(Vec::new());
        }
        let key = self.store.get_key(self.account, self.key).await?.ok_or(Problem::NotFound(NOT_FOUND))?;
        let Some(used) = key.secrets.first().and_then(|secret| secret.last_use) else {
            return Ok(Vec::new());
        };
        self.told = true;
        let shown = FirstRequest { address: used.address };
        let html = shown.render().map_err(|error| Problem::Failed(error.to_string()))?;
        Ok(vec![Event::html(html)])
    }
}

/// Follows the current secret of a key until it is used.
pub(super) async fn follow(visit: Visit, caller: SignedIn) -> Outcome {
    let key = key_in_path(&visit, &caller).await?;
    let (store, account) = (Arc::clone(visit.store()), caller.session.account);
    Ok(Reply::live(Waiting { store, account, key: key.id, told: false }))
}
