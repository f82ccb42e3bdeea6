//! Links that lead to the identity provider.

use crate::form::encoded;
use crate::visit::Visit;

/// A link that leads to the provider.
#[derive(Debug)]
pub(super) struct ProviderLink {
    pub(super) name: String,
    pub(super) path: String,
}

impl ProviderLink {
    /// To sign in; `None` without a provider.
    pub(super) fn to_sign_in(visit: &Visit) -> Option<Self> {
        let name = visit.shared.identity_provider.as_ref()?.name().to_owned();
        let next = visit.next_path().map(|next| format!("?next={}", encoded(&next))).unwrap_or_default();
        Some(Self { name, path: format!("/login/oidc{next}") })
    }

    /// To confirm; `held` is the form that waits, if one does.
    pub(super) fn to_confirm(visit: &Visit, held: &str, next: &str) -> Option<Self> {
        let name = visit.shared.identity_provider.as_ref()?.name().to_owned();
        let (held, next) = (encoded(held), encoded(next));
        Some(Self { name, path: format!("/login/oidc?confirm=1&held={held}&next={next}") })
    }
}
