//! The frame of every page: head, sidebar, breadcrumb, account switcher and user.

use telepath_core::id::AccountId;
use telepath_core::user::{Role, Theme};
use telepath_store::SignedIn;

use crate::csrf;
use crate::navigation::ShownGroup;
use crate::problem::Problem;
use crate::visit::Visit;

/// What stands in `<head>`.
#[derive(Debug)]
pub(crate) struct Head {
    /// The title of the tab, from the page to the product.
    pub(crate) title: String,
    /// `system`, `light` or `dark`.
    pub(crate) theme: &'static str,
    pub(crate) nonce: String,
    pub(crate) style: String,
    pub(crate) script: String,
    pub(crate) icon: String,
    pub(crate) font: String,
}

impl Head {
    /// The head of a page that needs no session.
    pub(crate) fn new(visit: &Visit, title: &str) -> Self {
        let theme = visit.session.as_ref().map_or(Theme::System, |session| session.user.profile.theme);
        let assets = &visit.shared.assets;
        Self {
            title: format!("{title} · Telepath"),
            theme: theme.name(),
            nonce: visit.nonce.clone(),
            style: assets.style().to_owned(),
            script: assets.script().to_owned(),
            icon: assets.icon().to_owned(),
            font: assets.font().to_owned(),
        }
    }
}

/// A step of the breadcrumb that leads to a page.
#[derive(Debug)]
pub(crate) struct Crumb {
    pub(crate) label: String,
    /// `None` for a group, which has no page.
    pub(crate) path: Option<String>,
}

impl Crumb {
    /// A group of the sidebar.
    pub(crate) fn group(label: &str) -> Self {
        Self { label: label.to_owned(), path: None }
    }

    /// A page above this one.
    pub(crate) fn page(label: &str, path: impl Into<String>) -> Self {
        Self { label: label.to_owned(), path: Some(path.into()) }
    }
}

/// An account that the user is a member of.
#[derive(Debug)]
pub(crate) struct AccountChoice {
    pub(crate) id: AccountId,
    pub(crate) name: String,
    /// `Live` or `Test`.
    pub(crate) mode: &'static str,
    pub(crate) current: bool,
}

/// What surrounds a page of a user who is signed in.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) head: Head,
    /// The name of the page, in the breadcrumb.
    pub(crate) here: String,
    pub(crate) crumbs: Vec<Crumb>,
    pub(crate) groups: Vec<ShownGroup>,
    pub(crate) accounts: Vec<AccountChoice>,
    pub(crate) email: String,
    pub(crate) initial: String,
    pub(crate) role: Role,
    /// The token that every form carries.
    pub(crate) form_token: String,
    /// How long the session lasts if it is not used again, in seconds.
    pub(crate) session_left: u64,
    /// Where the forms of the shell come back to.
    pub(crate) path: String,
    /// Whether single keys lead to pages.
    pub(crate) has_shortcuts: bool,
    /// Whether the user should add a second factor.
    pub(crate) needs_second_factor: bool,
}

impl Shell {
    /// The frame of the page `here`, which is reached by `crumbs`.
    pub(crate) async fn new(
        visit: &Visit,
        caller: &SignedIn,
        crumbs: Vec<Crumb>,
        here: &str,
    ) -> Result<Self, Problem> {
        let pages = crumbs.iter().rev().filter(|crumb| crumb.path.is_some());
        let title = pages.fold(here.to_owned(), |title, crumb| format!("{title} · {}", crumb.label));
        let owns_server = caller.session.account == visit.shared.options.account;
        let initial = caller.user.name.as_str().chars().next().unwrap_or('?').to_uppercase().to_string();
        Ok(Self {
            head: Head { theme: caller.user.profile.theme.name(), ..Head::new(visit, &title) },
            here: here.to_owned(),
            crumbs,
            groups: visit.shared.navigation.shown(caller.role, &visit.path, owns_server),
            accounts: accounts(visit, caller).await?,
            email: caller.user.email.to_string(),
            initial,
            role: caller.role,
            form_token: csrf::token_of(caller.session.id, visit.store().vault()),
            session_left: caller.session.expires_at().since(visit.now).as_secs(),
            path: visit.path.clone(),
            has_shortcuts: !caller.user.profile.shortcuts_off,
            needs_second_factor: caller.role == Role::Owner && !caller.user.has_second_factor,
        })
    }

    /// The account that the session works on.
    pub(crate) fn account(&self) -> Option<&AccountChoice> {
        self.accounts.iter().find(|account| account.current)
    }

    /// The role in words.
    pub(crate) const fn role_name(&self) -> &'static str {
        role_name(self.role)
    }

    /// The theme that the switch in the sidebar leads to, and its label.
    pub(crate) fn next_theme(&self) -> Theme {
        match Theme::from_name(self.head.theme) {
            Some(Theme::Dark) => Theme::Light,
            Some(Theme::Light) => Theme::System,
            Some(Theme::System) | None => Theme::Dark,
        }
    }
}

/// A role in words.
pub(crate) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Viewer => "Viewer",
        Role::Developer => "Developer",
        Role::Admin => "Admin",
        Role::Owner => "Owner",
    }
}

async fn accounts(visit: &Visit, caller: &SignedIn) -> Result<Vec<AccountChoice>, Problem> {
    let mut choices = Vec::new();
    for &(id, _) in &caller.memberships {
        if let Some(account) = visit.store().account(id).await? {
            let mode = match account.mode {
                telepath_core::secret::KeyMode::Live => "Live",
                telepath_core::secret::KeyMode::Test => "Test",
            };
            let current = id == caller.session.account;
            choices.push(AccountChoice { id, name: account.name.clone(), mode, current });
        }
    }
    Ok(choices)
}
