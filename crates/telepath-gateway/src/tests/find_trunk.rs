//! The look-up of the in-memory control plane.

use std::collections::HashMap;

use telepath_core::trunk::{
    E164, NumberCandidate, NumberChoice, TrunkForCall, TrunkLookup, TrunkMatch, TrunkNumbers, TrunkOwner,
};

/// Decides as the store does.
pub(super) fn find(trunks: &HashMap<String, TrunkForCall>, lookup: &TrunkLookup) -> TrunkMatch {
    let found = |trunk: Option<&TrunkForCall>| {
        trunk.map_or(TrunkMatch::NotFound, |trunk| TrunkMatch::Found(Box::new(trunk.clone())))
    };
    let name = lookup.credentials.as_ref().or(lookup.called_user.as_ref());
    let named = name.and_then(|name| trunks.get(&name.as_str().to_ascii_lowercase()));
    let Some(number) = lookup.dialled().first().copied() else { return found(named) };
    if named.is_some() || lookup.credentials.is_some() {
        return found(named);
    }
    let candidates: Vec<NumberCandidate> = trunks
        .values()
        .map(|TrunkForCall { trunk, .. }| NumberCandidate {
            owner: TrunkOwner { account: trunk.account_id, trunk: trunk.id },
            status: trunk.status,
            trusts_source: trunk.allowed_ips.contains(lookup.source),
            lists_number: number.is_some_and(|number| trunk.settings.inbound_numbers.contains(number)),
            takes_any_number: trunk.settings.inbound_numbers.is_empty(),
        })
        .collect();
    match NumberChoice::of(&candidates) {
        NumberChoice::One(owner) => found(trunks.values().find(|found| found.trunk.id == owner.trunk)),
        NumberChoice::NeedsCredentials => TrunkMatch::NotFound,
        NumberChoice::NotListed(owners) => TrunkMatch::NumberNotListed(
            owners
                .into_iter()
                .map(|owner| TrunkNumbers { owner, numbers: numbers_of(trunks, owner) })
                .collect(),
        ),
        NumberChoice::Ambiguous(owners) => TrunkMatch::AmbiguousNumber(owners),
    }
}

fn numbers_of(trunks: &HashMap<String, TrunkForCall>, owner: TrunkOwner) -> Vec<E164> {
    let found = trunks.values().find(|found| found.trunk.id == owner.trunk).unwrap();
    found.trunk.settings.inbound_numbers.clone()
}
