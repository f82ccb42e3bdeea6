//! Where somebody goes who is not signed in.

use crate::form;
use crate::reply::Reply;
use crate::visit::{self, Visit};

/// Leads to the sign-in. A script that replaces a part of a page would put the form there, so the whole page goes.
pub(super) fn sign_in_first(visit: &Visit, target: &str) -> Reply {
    match &visit.shown_at {
        Some(page) => Reply::leave(login_path(page)),
        None => Reply::see_other(login_path(target)),
    }
}

/// The path of the sign-in that leads to `target` afterwards.
fn login_path(target: &str) -> String {
    if target == "/" { "/login".to_owned() } else { format!("/login?next={}", form::encoded(target)) }
}

/// The path of the page at a URL of this origin.
pub(super) fn shown_at(url: &str) -> String {
    let uri = url.parse::<http::Uri>().ok();
    let path = uri.as_ref().and_then(|uri| uri.path_and_query()).map_or("/", http::uri::PathAndQuery::as_str);
    if visit::is_local_path(path) { path.to_owned() } else { "/".to_owned() }
}
