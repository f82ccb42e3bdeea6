//! Sets of the domain as lists of texts.

use telepath_core::address::NetworkList;
use telepath_core::scope::{Scope, ScopeSet};

/// The names of the scopes, in the order of [`Scope::ALL`].
pub fn scope_names(scopes: ScopeSet) -> Vec<String> {
    scopes.iter().map(Scope::name).map(str::to_owned).collect()
}

/// The networks in CIDR form.
pub(crate) fn network_texts(networks: &NetworkList) -> Vec<String> {
    networks.iter().map(ToString::to_string).collect()
}
