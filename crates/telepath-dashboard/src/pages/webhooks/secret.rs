//! The page that shows a signing secret once. It is the response to the form, so the secret has no address.

use askama::Template;
use telepath_store::{SignedIn, WebhookWithSecret};

use super::receiver::{RECEIVERS, Receiver};
use super::{crumbs, path_of};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::shell::Shell;
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "pages/webhook_secret.html")]
struct Page {
    shell: Shell,
    url: String,
    sentence: &'static str,
    /// The shared secret, or the public key of the endpoint.
    secret: String,
    is_secret: bool,
    path: String,
    receivers: &'static [Receiver],
}

pub(super) async fn page(
    visit: &Visit,
    caller: &SignedIn,
    made: &WebhookWithSecret,
    sentence: &'static str,
) -> Result<Reply, Problem> {
    let webhook = &made.webhook;
    let public = webhook.public_keys.first().cloned().unwrap_or_default();
    let page = Page {
        shell: Shell::new(visit, caller, crumbs(), "Signing secret").await?,
        url: webhook.url.masked(),
        sentence,
        secret: made.secret.as_ref().map_or(public, |secret| secret.expose().to_owned()),
        is_secret: made.secret.is_some(),
        path: path_of(webhook.id),
        receivers: RECEIVERS,
    };
    Ok(Reply::page(&page)?.secret())
}
