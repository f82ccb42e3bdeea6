//! What is done to a call: hang up, send an event again, erase.

use askama::Template;
use telepath_core::id::{CallId, DeliveryId};
use telepath_store::{SignedIn, WebhookChangeError};

use super::{NONE, PATH, crumbs, path_of};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::{Crumb, Shell};
use crate::visible::visible;
use crate::visit::Visit;

pub(super) async fn hang_up(visit: Visit, caller: SignedIn) -> Outcome {
    let id: CallId = visit.id_in_path(NONE)?;
    let live = &*visit.shared.live;
    visit.store().hang_up_call(caller.session.account, id, live, visit.change_by(&caller)).await?;
    let back = visit.next_path().unwrap_or_else(|| path_of(id));
    let sign = if back.contains('?') { '&' } else { '?' };
    Ok(Reply::see_other(format!("{back}{sign}done=hung-up")))
}

pub(super) async fn resend(visit: Visit, caller: SignedIn) -> Outcome {
    const NO_DELIVERY: &str = "This delivery does not exist";
    let id: CallId = visit.id_in_path(NONE)?;
    let delivery = visit.form.text("delivery").parse::<DeliveryId>();
    let delivery = delivery.map_err(|_| Problem::NotFound(NO_DELIVERY))?;
    let sent = visit.store().redeliver(caller.session.account, delivery, visit.change_by(&caller)).await;
    sent.map_err(|error| match error {
        WebhookChangeError::NotFound | WebhookChangeError::DeliveryNotFound => Problem::NotFound(NO_DELIVERY),
        WebhookChangeError::Disabled => {
            Problem::Conflict("The endpoint is disabled. Enable it, then resend the event.".to_owned())
        }
        WebhookChangeError::OutOfReach | WebhookChangeError::MissingScope(_) => Problem::Forbidden,
        WebhookChangeError::TooManySecrets | WebhookChangeError::Invalid(_) => {
            Problem::Conflict(format!("{error}."))
        }
        WebhookChangeError::Store(error) => error.into(),
    })?;
    Ok(Reply::see_other(format!("{}?done=resent", path_of(id))))
}

#[derive(Template)]
#[template(path = "pages/call_erase.html")]
struct ErasePage {
    shell: Shell,
    path: String,
    from: String,
    to: String,
}

pub(super) async fn confirm_erasure(visit: Visit, caller: SignedIn) -> Outcome {
    let id: CallId = visit.id_in_path(NONE)?;
    let found = visit.store().get_call(caller.session.account, id).await?;
    let call = found.ok_or(Problem::NotFound(NONE))?.call;
    let (from, to, path) = (visible(call.from.as_str()), visible(call.to.as_str()), path_of(id));
    let mut crumbs = crumbs();
    crumbs.push(Crumb::page(&format!("{from} → {to}"), path.clone()));
    let shell = Shell::new(&visit, &caller, crumbs, "Erase this call").await?;
    Reply::page(&ErasePage { shell, path, from, to })
}

pub(super) async fn erase(visit: Visit, caller: SignedIn) -> Outcome {
    let id: CallId = visit.id_in_path(NONE)?;
    visit.store().erase_call(caller.session.account, id, visit.change_by(&caller)).await?;
    Ok(Reply::see_other(format!("{PATH}?done=erased")))
}
