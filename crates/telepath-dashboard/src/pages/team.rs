//! `/settings/team`: the members of the account, and invitations to it.

mod invite;
mod link;
mod member;

use askama::Template;
use http::Method;
use telepath_core::account::Actor;
use telepath_core::id::{InvitationId, UserId};
use telepath_core::page::{MAX_LIMIT, PageRequest, PageStart};
use telepath_core::scope::Scope;
use telepath_core::user::{Invitation, Member, Role, UserStatus};
use telepath_store::{MemberActivity, SignedIn};

use crate::icon;
use crate::navigation::{Entry, Group};
use crate::number::counted;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::{Crumb, Shell, role_name};
use crate::time::{Shown, Zone, relative};
use crate::visit::Visit;

pub(crate) const ENTRY: Entry = Entry {
    group: Group::Settings,
    place: 3,
    label: "Team",
    path: "/settings/team",
    shortcut: 't',
    icon: icon::TEAM,
    scope: Scope::AccountRead,
};

pub(crate) fn routes() -> Vec<Route> {
    let mut routes = vec![
        Route::scoped(Method::GET, "/settings/team", Scope::AccountRead, show),
        Route::user(Method::POST, "/settings/team/invitations/{id}/revoke", revoke_invitation),
    ];
    routes.extend(invite::routes());
    routes.extend(member::routes());
    routes
}

/// The breadcrumb of the pages below the list.
fn crumbs() -> Vec<Crumb> {
    vec![Crumb::group("Settings"), Crumb::page("Team", ENTRY.path)]
}

/// Refuses who manages nobody.
fn require_manager(caller: &SignedIn) -> Result<(), Problem> {
    if assignable(caller.role).next().is_some() { Ok(()) } else { Err(Problem::Forbidden) }
}

/// The roles that a member can give, the least powerful first.
fn assignable(role: Role) -> impl Iterator<Item = Role> {
    Role::ALL.iter().copied().filter(move |other| role.manages(*other))
}

/// A role that a form offers.
struct RoleChoice {
    value: &'static str,
    label: &'static str,
    description: &'static str,
    chosen: bool,
}

fn choices(caller: Role, chosen: Option<Role>) -> Vec<RoleChoice> {
    let choice = |role: Role| RoleChoice {
        value: role.name(),
        label: role_name(role),
        description: role.describe(),
        chosen: chosen == Some(role),
    };
    assignable(caller).map(choice).collect()
}

/// A member as the list shows them.
struct MemberRow {
    id: UserId,
    initial: String,
    name: String,
    email: String,
    role: &'static str,
    is_self: bool,
    status: UserStatus,
    second_factor: bool,
    seen: Option<(Shown, String)>,
    sessions: u32,
}

/// An open invitation as the list shows it.
struct InvitationRow {
    id: InvitationId,
    email: String,
    role: &'static str,
    by: String,
    expires: Shown,
    left: String,
    may_revoke: bool,
}

#[derive(Template)]
#[template(path = "pages/team.html")]
struct Page {
    shell: Shell,
    done: Option<&'static str>,
    manages: bool,
    zone: String,
    members: Vec<MemberRow>,
    /// How many, in words.
    count: String,
    without_second_factor: usize,
    invitations: Vec<InvitationRow>,
    /// The path of the next page.
    next: Option<String>,
    is_first: bool,
    roles: Vec<RoleChoice>,
}

/// Queries: the members, their sessions, the invitations, and those of the shell.
async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let account = caller.session.account;
    let (page, is_first) = page_request(&visit)?;
    let members = visit.store().list_members(account, page).await?;
    let activity = visit.store().member_activity(account).await?;
    let invitations =
        if is_first { visit.store().list_invitations(account, all()).await?.items } else { Vec::new() };
    let zone = visit.zone_of(&caller);
    let count = members.position.total.map_or(members.items.len() as u64, |total| total.count);
    let next = members.position.next.as_ref().map(|cursor| format!("{}?after={cursor}", ENTRY.path));
    let invited = invitations.iter().map(|invitation| {
        let by = inviter(invitation, &members.items);
        invitation_row(invitation, by, &visit, &caller, &zone)
    });
    Reply::page(&Page {
        shell: Shell::new(&visit, &caller, vec![Crumb::group("Settings")], "Team").await?,
        done: done(&visit),
        manages: caller.role.manages(Role::Viewer),
        zone: zone.abbreviation(visit.now),
        without_second_factor: members.items.iter().filter(|one| !one.user.has_second_factor).count(),
        count: counted(count, "member", "members"),
        invitations: invited.collect(),
        members: members
            .items
            .iter()
            .map(|member| member_row(member, &activity, &visit, &caller, &zone))
            .collect(),
        next,
        is_first,
        roles: choices(Role::Owner, None),
    })
}

fn done(visit: &Visit) -> Option<&'static str> {
    match visit.query.get("done")? {
        "invited" => Some("The invitation is on its way. It can be accepted for 72 hours."),
        "revoked" => Some("The invitation is revoked. Its link does not work any more."),
        "removed" => {
            Some("The member is removed. Their sessions have ended; keys that they created keep working.")
        }
        _ => None,
    }
}

fn page_request(visit: &Visit) -> Result<(PageRequest, bool), Problem> {
    let unknown = Problem::NotFound("This page of the list does not exist");
    let Some(after) = visit.query.get("after") else { return Ok((all(), true)) };
    let key = Some(telepath_core::page::CREATED_AT);
    let Ok(cursor) = telepath_core::page::Cursor::parse::<UserId>(after, key) else { return Err(unknown) };
    PageRequest::starting(MAX_LIMIT, PageStart::After(cursor)).map(|page| (page, false)).ok_or(unknown)
}

/// The first rows of a list, as many as a page may hold.
fn all() -> PageRequest {
    PageRequest::new(MAX_LIMIT, 0).unwrap_or_default()
}

fn member_row(
    member: &Member,
    activity: &[MemberActivity],
    visit: &Visit,
    caller: &SignedIn,
    zone: &Zone,
) -> MemberRow {
    let user = &member.user;
    let used = activity.iter().find(|one| one.user == user.id);
    let seen = used.and_then(|one| one.last_seen_at);
    MemberRow {
        id: user.id,
        initial: initial(user.name.as_str()),
        name: user.name.as_str().to_owned(),
        email: user.email.to_string(),
        role: role_name(member.role),
        is_self: user.id == caller.user.id,
        status: user.status(),
        second_factor: user.has_second_factor,
        seen: seen.map(|at| (zone.shown(at), relative(at, visit.now))),
        sessions: used.map_or(0, |one| one.sessions),
    }
}

fn initial(name: &str) -> String {
    name.chars().next().unwrap_or('?').to_uppercase().to_string()
}

fn invitation_row(
    invitation: &Invitation,
    by: String,
    visit: &Visit,
    caller: &SignedIn,
    zone: &Zone,
) -> InvitationRow {
    InvitationRow {
        id: invitation.id,
        email: invitation.email.to_string(),
        role: role_name(invitation.role),
        by,
        expires: zone.shown(invitation.expires_at),
        left: relative(invitation.expires_at, visit.now),
        may_revoke: caller.role.manages(invitation.role),
    }
}

fn inviter(invitation: &Invitation, members: &[Member]) -> String {
    match invitation.invited_by {
        Actor::User(id) => match members.iter().find(|member| member.user.id == id) {
            Some(member) => member.user.name.as_str().to_owned(),
            None => format!("{id} (left)"),
        },
        Actor::Local { .. } => "Command line".to_owned(),
        Actor::Key(id) => id.to_string(),
        Actor::System => "The server".to_owned(),
    }
}

async fn revoke_invitation(visit: Visit, caller: SignedIn) -> Outcome {
    let id: InvitationId = visit.id_in_path("This invitation does not exist")?;
    visit.store().revoke_invitation(caller.session.account, id, visit.change_by(&caller)).await?;
    Ok(Reply::see_other("/settings/team?done=revoked"))
}
