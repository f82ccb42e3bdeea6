//! One request, as a handler sees it.

use std::net::IpAddr;
use std::sync::Arc;

use telepath_core::account::Actor;
use telepath_core::audit::Origin;
use telepath_core::clock::Timestamp;
use telepath_core::id::RequestId;
use telepath_store::{SignedIn, Store};

use crate::form::Fields;
use crate::problem::Problem;
use crate::shared::Shared;
use crate::time::Zone;

/// One request, as a handler sees it.
pub(crate) struct Visit {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: RequestId,
    pub(crate) now: Timestamp,
    /// The address of the browser.
    pub(crate) client: IpAddr,
    /// Whether the browser uses HTTPS.
    pub(crate) https: bool,
    /// The origin of this page, as the browser names it.
    pub(crate) origin: String,
    pub(crate) user_agent: String,
    pub(crate) path: String,
    /// The variable parts of the path, by name.
    pub(crate) params: Vec<(String, String)>,
    pub(crate) query: Fields,
    /// Empty for GET.
    pub(crate) form: Fields,
    /// The session, also one that still awaits the second factor.
    pub(crate) session: Option<SignedIn>,
    /// The zone of the browser, if its script has said so.
    pub(crate) browser_zone: Option<Zone>,
    /// The code of the one-use link that the browser opened last.
    pub(crate) setup_code: Option<String>,
    /// The path of the page whose script replaces a part of it; `None` for a browser that loads a page.
    pub(crate) shown_at: Option<String>,
    /// The last event that a page got which opens its stream again.
    pub(crate) last_event_id: Option<String>,
    /// What the sign-in at the identity provider is bound to that was begun last.
    pub(crate) provider_cookie: Option<String>,
    /// Allows the scripts of the page.
    pub(crate) nonce: String,
}

impl Visit {
    /// The visit for a handler. What stays behind has no form, and is enough for an error page.
    pub(crate) fn take(&mut self) -> Self {
        let (form, query) = (std::mem::take(&mut self.form), self.query.clone());
        Self {
            shared: Arc::clone(&self.shared),
            id: self.id,
            now: self.now,
            client: self.client,
            https: self.https,
            origin: self.origin.clone(),
            user_agent: self.user_agent.clone(),
            path: self.path.clone(),
            params: std::mem::take(&mut self.params),
            query,
            form,
            session: self.session.clone(),
            browser_zone: self.browser_zone.clone(),
            setup_code: self.setup_code.clone(),
            provider_cookie: self.provider_cookie.take(),
            shown_at: self.shown_at.clone(),
            last_event_id: self.last_event_id.clone(),
            nonce: self.nonce.clone(),
        }
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.shared.store
    }

    /// A variable part of the path as an id; a text that is not one names nothing.
    pub(crate) fn id_in_path<T: std::str::FromStr>(&self, what: &'static str) -> Result<T, Problem> {
        self.part_of_path("id", what)
    }

    /// Another variable part of the path.
    pub(crate) fn part_of_path<T: std::str::FromStr>(
        &self,
        name: &str,
        what: &'static str,
    ) -> Result<T, Problem> {
        let text = self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        text.and_then(|text| text.parse().ok()).ok_or(Problem::NotFound(what))
    }

    /// The origin of a change by the user.
    pub(crate) fn change_by(&self, caller: &SignedIn) -> Origin {
        self.change(Actor::User(caller.user.id))
    }

    /// The origin of a change by somebody who is not signed in.
    pub(crate) fn change_by_nobody(&self) -> Origin {
        self.change(Actor::System)
    }

    const fn change(&self, actor: Actor) -> Origin {
        Origin { actor, address: Some(self.client), at: self.now, idempotency: None }
    }

    /// The zone of a user: the one that they chose, otherwise the browser's, otherwise UTC.
    pub(crate) fn zone_of(&self, caller: &SignedIn) -> Zone {
        match &caller.user.profile.time_zone {
            Some(name) => Zone::named(name),
            None => self.browser_zone.clone().unwrap_or_else(Zone::utc),
        }
    }

    /// The path of this origin to go to afterwards, as the field or parameter `next` names it. Anything that leads elsewhere
    /// is ignored.
    pub(crate) fn next_path(&self) -> Option<String> {
        let text = self.form.get("next").or_else(|| self.query.get("next"))?;
        is_local_path(text).then(|| text.to_owned())
    }
}

/// Whether a text is a path of this origin. Browsers read `//host` and `/\host` as addresses of other origins, and drop
/// control characters.
pub(crate) fn is_local_path(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next() == Some(b'/')
        && !matches!(bytes.next(), Some(b'/' | b'\\'))
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && text.len() <= 2048
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_origin_are_followed() {
        for good in ["/", "/settings/api-keys?q=a%20b#x", "/me"] {
            assert!(is_local_path(good), "{good}");
        }
        for bad in [
            "",
            "me",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a b",
            "/\u{e9}",
            "/a\r\nset-cookie: x",
        ] {
            assert!(!is_local_path(bad), "{bad}");
        }
        assert!(!is_local_path(&format!("/{}", "a".repeat(2048))));
    }
}
