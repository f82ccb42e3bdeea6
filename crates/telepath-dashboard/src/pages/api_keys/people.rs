//! Who did something, by name.

use telepath_core::account::Actor;
use telepath_store::{Names, SignedIn};

use crate::problem::Problem;
use crate::visit::Visit;

/// The names of actors and of other ids, read with one statement.
pub(super) async fn names(
    visit: &Visit,
    caller: &SignedIn,
    actors: impl IntoIterator<Item = Actor>,
    ids: impl IntoIterator<Item = String>,
) -> Result<Names, Problem> {
    let actors = actors.into_iter().map(|actor| actor.to_string());
    let all: std::collections::BTreeSet<String> = actors.chain(ids).collect();
    let all: Vec<String> = all.into_iter().collect();
    Ok(visit.store().names(caller.session.account, &all).await?)
}

/// Who did something, within a sentence.
pub(super) fn who(actor: Actor, names: &Names) -> String {
    match (actor, names.get(&actor.to_string())) {
        (Actor::User(_) | Actor::Key(_), Some(named)) => named.name.clone(),
        (Actor::User(_), None) => "a former member".to_owned(),
        (Actor::Key(key), None) => key.to_string(),
        (Actor::Local { .. }, _) => "local administration".to_owned(),
        (Actor::System, _) => "the server".to_owned(),
    }
}
