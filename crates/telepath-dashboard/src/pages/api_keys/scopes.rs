//! What a key may do, as a table of areas and levels.

use telepath_core::scope::{Scope, ScopeSet};

use crate::form::Fields;

/// What the scopes are about.
struct Area {
    name: &'static str,
    text: &'static str,
    read: Scope,
    write: Option<Scope>,
}

const fn area(name: &'static str, text: &'static str, read: Scope, write: Option<Scope>) -> Area {
    Area { name, text, read, write }
}

const AREAS: [Area; 9] = [
    area("trunks", "connections to carriers and agents", Scope::TrunksRead, Some(Scope::TrunksWrite)),
    area("calls", "call log and traces; write: hang up", Scope::CallsRead, Some(Scope::CallsWrite)),
    area("webhooks", "endpoints and deliveries", Scope::WebhooksRead, Some(Scope::WebhooksWrite)),
    area("analytics", "figures about calls", Scope::AnalyticsRead, None),
    area("usage", "what each key was used for", Scope::UsageRead, None),
    area("audit", "request log and changes", Scope::AuditRead, None),
    area("keys", "API keys; write: create, rotate, revoke", Scope::KeysRead, Some(Scope::KeysWrite)),
    area("account", "name and policies for keys", Scope::AccountRead, Some(Scope::AccountWrite)),
    area("metrics", "metrics of the server", Scope::MetricsRead, None),
];

/// What is chosen for an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    AsPreset,
    Nothing,
    Read,
    Write,
}

impl Level {
    const ALL: [Level; 4] = [Level::AsPreset, Level::Nothing, Level::Read, Level::Write];

    const fn value(self) -> &'static str {
        match self {
            Level::AsPreset => "preset",
            Level::Nothing => "none",
            Level::Read => "read",
            Level::Write => "write",
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Level::AsPreset => "as the preset",
            Level::Nothing => "none",
            Level::Read => "read",
            Level::Write => "read and write",
        }
    }

    /// What a form says of an area; without a word, the preset decides.
    fn of(form: &Fields, area: &Area) -> Self {
        let sent = form.get(&field(area)).unwrap_or_default();
        Level::ALL.into_iter().find(|level| level.value() == sent).unwrap_or(Level::AsPreset)
    }

    /// The level that a key has.
    fn held(scopes: ScopeSet, area: &Area) -> Self {
        match area.write {
            Some(write) if scopes.allows(write) => Level::Write,
            Some(_) | None if scopes.allows(area.read) => Level::Read,
            Some(_) | None => Level::Nothing,
        }
    }

    const fn scope(self, area: &Area) -> Option<Scope> {
        match self {
            Level::AsPreset | Level::Nothing => None,
            Level::Read => Some(area.read),
            Level::Write => area.write,
        }
    }
}

fn field(area: &Area) -> String {
    format!("scope-{}", area.name)
}

/// A row of the table.
pub(super) struct Row {
    pub(super) field: String,
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    /// Why nothing can be chosen.
    pub(super) refused: bool,
    pub(super) cells: Vec<Cell>,
}

/// A level of an area.
pub(super) struct Cell {
    pub(super) value: &'static str,
    pub(super) label: &'static str,
    pub(super) chosen: bool,
    pub(super) disabled: bool,
    /// Whether the area has the level at all.
    pub(super) exists: bool,
}

/// The table. `held` are the scopes of a key that exists; a new key may follow its preset instead. What the user may not give is
/// disabled.
pub(super) fn table(form: &Fields, held: Option<ScopeSet>, grantable: ScopeSet) -> Vec<Row> {
    let row = |area: &Area| {
        let sent = form.get(&field(area)).map(|_| Level::of(form, area));
        let chosen = sent.or(held.map(|scopes| Level::held(scopes, area))).unwrap_or(Level::AsPreset);
        let offered = Level::ALL.into_iter().filter(|level| held.is_none() || *level != Level::AsPreset);
        let cells = offered.map(|level| Cell {
            value: level.value(),
            label: level.label(),
            chosen: level == chosen,
            disabled: level.scope(area).is_some_and(|scope| !grantable.allows(scope)),
            exists: level != Level::Write || area.write.is_some(),
        });
        Row {
            field: field(area),
            name: area.name,
            text: area.text,
            refused: !grantable.allows(area.write.unwrap_or(area.read)),
            cells: cells.collect(),
        }
    };
    AREAS.iter().map(row).collect()
}

/// The scopes of a key after an edit: an area that the form does not name stays as it is.
pub(super) fn held(form: &Fields, held: ScopeSet) -> ScopeSet {
    let level = |area: &Area| match Level::of(form, area) {
        Level::AsPreset => Level::held(held, area),
        level => level,
    };
    let scopes: Vec<Scope> = AREAS.iter().filter_map(|area| level(area).scope(area)).collect();
    ScopeSet::of(&scopes)
}

/// The scopes that a form asks for by name; `None` if it leaves all areas to the preset.
pub(super) fn chosen(form: &Fields, of_preset: ScopeSet) -> Option<Vec<String>> {
    let levels: Vec<(&Area, Level)> = AREAS.iter().map(|area| (area, Level::of(form, area))).collect();
    if levels.iter().all(|(_, level)| *level == Level::AsPreset) && !of_preset.is_empty() {
        return None;
    }
    let of_area = |(area, level): (&Area, Level)| match level {
        Level::AsPreset => {
            let both = [Some(area.read), area.write];
            both.into_iter().flatten().filter(|scope| of_preset.contains(*scope)).collect()
        }
        Level::Nothing | Level::Read | Level::Write => level.scope(area).into_iter().collect::<Vec<_>>(),
    };
    Some(levels.into_iter().flat_map(of_area).map(|scope| scope.name().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use telepath_core::key::Preset;

    use super::*;

    #[test]
    fn every_scope_belongs_to_one_area() {
        let mut named: Vec<Scope> =
            AREAS.iter().flat_map(|area| [Some(area.read), area.write]).flatten().collect();
        named.sort();
        assert_eq!(named, Scope::ALL);
    }

    #[test]
    fn areas_that_are_left_to_the_preset_keep_its_scopes() {
        let monitoring = Preset::Monitoring.scopes();
        assert_eq!(chosen(&Fields::parse("scope-calls=preset"), monitoring), None);
        let narrowed = chosen(&Fields::parse("scope-calls=none&scope-usage=read"), monitoring).unwrap();
        assert_eq!(narrowed, ["trunks:read", "analytics:read", "usage:read"]);
        let custom = chosen(&Fields::parse("scope-calls=write&scope-keys=read"), ScopeSet::EMPTY).unwrap();
        assert_eq!(custom, ["calls:write", "keys:read"]);
        assert_eq!(chosen(&Fields::default(), ScopeSet::EMPTY), Some(Vec::new()));
    }

    #[test]
    fn what_a_user_may_not_give_is_disabled_and_what_a_key_has_is_chosen() {
        let held = ScopeSet::of(&[Scope::CallsWrite, Scope::UsageRead]);
        let rows = table(&Fields::default(), Some(held), ScopeSet::all().without(Scope::KeysWrite));
        let of = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
        let chosen = |name: &str| of(name).cells.iter().find(|cell| cell.chosen).unwrap().value;
        assert_eq!((chosen("calls"), chosen("usage"), chosen("keys")), ("write", "read", "none"));
        let disabled: Vec<_> =
            of("keys").cells.iter().filter(|cell| cell.disabled).map(|c| c.value).collect();
        assert_eq!((disabled, of("keys").refused, of("calls").refused), (vec!["write"], true, false));
    }
}
