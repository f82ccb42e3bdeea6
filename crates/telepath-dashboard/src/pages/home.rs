//! `/`: leads to the first page that the user may see.

use http::Method;
use telepath_store::SignedIn;

use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::visit::Visit;

pub(crate) fn routes() -> Vec<Route> {
    vec![Route::user(Method::GET, "/", go)]
}

async fn go(visit: Visit, caller: SignedIn) -> Outcome {
    Ok(Reply::see_other(visit.shared.navigation.home(caller.role)))
}
