//! The page that shows a secret once. It is the response to the form, so the secret has no address.

use askama::Template;
use telepath_store::{CreatedKey, SignedIn};

use super::{crumbs, mask_of, path_of};
use crate::mark::Mark;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::visit::Visit;

/// Why a key has a new secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Created,
    Rotated,
}

#[derive(Template)]
#[template(path = "pages/api_key_secret.html")]
struct Page {
    shell: Shell,
    mark: Mark,
    name: String,
    sentence: &'static str,
    secret: String,
    mask: String,
    path: String,
    /// The address of the API, as this browser reaches it.
    base: String,
}

pub(super) async fn page(visit: &Visit, caller: &SignedIn, created: &CreatedKey, cause: Cause) -> Outcome {
    let record = &created.record;
    let page = Page {
        shell: Shell::new(visit, caller, crumbs(), &record.name).await?,
        mark: Mark::of(record.id),
        name: record.name.clone(),
        sentence: match cause {
            Cause::Created => "Key created.",
            Cause::Rotated => "Key rotated.",
        },
        secret: created.secret.reveal().expose().to_owned(),
        mask: mask_of(record).to_owned(),
        path: path_of(record.id),
        base: visit.origin.clone(),
    };
    Ok(Reply::page(&page)?.secret())
}
