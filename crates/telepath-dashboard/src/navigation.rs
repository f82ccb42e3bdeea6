//! The navigation in the sidebar. It lists pages that exist and that the user's role may see.

use telepath_core::scope::Scope;
use telepath_core::user::Role;

use crate::icon::Icon;

/// The page about the whole server, which only members of the account see that the server was set up with.
pub(crate) const SYSTEM: &str = "/settings/system";

/// A group of the sidebar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// Above all groups, without a heading.
    Top,
    Voice,
    Activity,
    Settings,
}

impl Group {
    /// The heading.
    pub(crate) const fn heading(self) -> &'static str {
        match self {
            Group::Top => "",
            Group::Voice => "Voice",
            Group::Activity => "Activity",
            Group::Settings => "Settings",
        }
    }
}

/// An entry of the sidebar. Each page declares its own beside its routes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) group: Group,
    /// The place within the group.
    pub(crate) place: u8,
    pub(crate) label: &'static str,
    pub(crate) path: &'static str,
    /// The key that leads to the page after `g`.
    pub(crate) shortcut: char,
    pub(crate) icon: Icon,
    /// What a role needs to see the page.
    pub(crate) scope: Scope,
}

/// All entries, in order.
#[derive(Debug)]
pub(crate) struct Navigation(Vec<Entry>);

/// A group as a page shows it.
#[derive(Debug)]
pub(crate) struct ShownGroup {
    pub(crate) heading: &'static str,
    pub(crate) entries: Vec<ShownEntry>,
}

/// An entry as a page shows it.
#[derive(Debug)]
pub(crate) struct ShownEntry {
    pub(crate) label: &'static str,
    pub(crate) path: &'static str,
    pub(crate) shortcut: char,
    pub(crate) icon: Icon,
    /// Whether the page belongs to this entry.
    pub(crate) current: bool,
}

impl Navigation {
    pub(crate) fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_by_key(|entry| (entry.group, entry.place));
        Self(entries)
    }

    /// What a role may see, with the entry of the page at `path` marked. `owns_server` says whether the account is the one
    /// that the server was set up with.
    pub(crate) fn shown(&self, role: Role, path: &str, owns_server: bool) -> Vec<ShownGroup> {
        let mut groups: Vec<(Group, ShownGroup)> = Vec::new();
        let may_see =
            |entry: &&Entry| role.scopes().allows(entry.scope) && (owns_server || entry.path != SYSTEM);
        for entry in self.0.iter().filter(may_see) {
            let Entry { label, path: target, shortcut, icon, .. } = *entry;
            let current = is_below(path, target);
            let shown = ShownEntry { label, path: target, shortcut, icon, current };
            match groups.last_mut() {
                Some((group, last)) if *group == entry.group => last.entries.push(shown),
                Some(_) | None => {
                    let group = ShownGroup { heading: entry.group.heading(), entries: vec![shown] };
                    groups.push((entry.group, group));
                }
            }
        }
        groups.into_iter().map(|(_, group)| group).collect()
    }
}

fn is_below(path: &str, target: &str) -> bool {
    match path.strip_prefix(target) {
        Some(rest) => rest.is_empty() || (target != "/" && rest.starts_with('/')),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::icon;

    fn entry(group: Group, place: u8, path: &'static str, scope: Scope) -> Entry {
        Entry { group, place, label: path, path, shortcut: 'x', icon: icon::KEYS, scope }
    }

    #[test]
    fn entries_are_grouped_in_order_and_the_current_one_is_marked() {
        let navigation = Navigation::new(vec![
            entry(Group::Settings, 1, "/settings/api-keys", Scope::KeysRead),
            entry(Group::Activity, 2, "/audit", Scope::AuditRead),
            entry(Group::Activity, 1, "/requests", Scope::AuditRead),
            entry(Group::Top, 0, "/", Scope::UsageRead),
        ]);
        let shown = navigation.shown(Role::Owner, "/settings/api-keys/new", true);
        let headings: Vec<&str> = shown.iter().map(|group| group.heading).collect();
        assert_eq!(headings, ["", "Activity", "Settings"]);
        let paths: Vec<&str> = shown[1].entries.iter().map(|entry| entry.path).collect();
        assert_eq!(paths, ["/requests", "/audit"]);
        let current: Vec<&str> = shown
            .iter()
            .flat_map(|group| &group.entries)
            .filter(|entry| entry.current)
            .map(|entry| entry.path)
            .collect();
        assert_eq!(current, ["/settings/api-keys"]);
    }

    #[test]
    fn every_page_has_a_shortcut_of_its_own() {
        let entries = crate::pages::navigation();
        let shortcuts: BTreeSet<char> = entries.iter().map(|entry| entry.shortcut).collect();
        assert_eq!(shortcuts.len(), entries.len());
        assert!(shortcuts.iter().all(char::is_ascii_lowercase) && !shortcuts.contains(&'g'));
    }

    #[test]
    fn a_role_sees_only_what_its_scopes_allow() {
        let navigation = Navigation::new(vec![entry(Group::Top, 0, "/x", Scope::AccountWrite)]);
        assert!(navigation.shown(Role::Admin, "/", true).is_empty());
        assert_eq!(navigation.shown(Role::Owner, "/", true).len(), 1);
    }

    #[test]
    fn members_of_other_accounts_do_not_see_the_server() {
        let navigation = Navigation::new(vec![entry(Group::Settings, 1, SYSTEM, Scope::AccountRead)]);
        assert_eq!(navigation.shown(Role::Viewer, "/", true).len(), 1);
        assert!(navigation.shown(Role::Owner, "/", false).is_empty());
    }
}
