//! `/me`: what users change about themselves.

mod second_factor;

use askama::Template;
use http::{Method, StatusCode};
use telepath_core::id::SessionId;
use telepath_core::patch::Patch;
use telepath_core::user::{Theme, TimeZoneName, UserName, UserPatch};
use telepath_store::{SignedIn, UserError};

use super::session;
use crate::form::Problems;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::{Crumb, Shell};
use crate::time::{Shown, Zone, relative};
use crate::user_agent;
use crate::visit::Visit;

pub(crate) fn routes() -> Vec<Route> {
    let mut routes = vec![
        Route::user(Method::GET, "/me", show),
        Route::user(Method::POST, "/me/profile", save),
        Route::user(Method::POST, "/me/theme", set_theme),
        Route::user(Method::GET, "/me/password", show_password),
        Route::user(Method::POST, "/me/password", change_password),
        Route::user(Method::POST, "/me/sessions/{id}/end", end_session),
        Route::user(Method::POST, "/me/sessions/end-others", end_others),
    ];
    routes.extend(second_factor::routes());
    routes
}

/// A session as the page lists it.
struct SessionRow {
    id: SessionId,
    browser: String,
    address: String,
    since: Shown,
    seen: Shown,
    seen_ago: String,
    current: bool,
}

#[derive(Template)]
#[template(path = "pages/me.html")]
struct Page {
    shell: Shell,
    done: Option<&'static str>,
    problems: Problems,
    name: String,
    time_zone: String,
    theme: String,
    has_shortcuts: bool,
    /// The zone in which times are shown now.
    zone: String,
    sessions: Vec<SessionRow>,
    has_second_factor: bool,
    codes_left: u32,
}

/// What was typed into the form, or what is stored.
struct Typed {
    name: String,
    time_zone: String,
    theme: String,
    has_shortcuts: bool,
}

async fn page(visit: &Visit, caller: &SignedIn, typed: Typed, problems: Problems) -> Result<Reply, Problem> {
    let zone = visit.zone_of(caller);
    let sessions = visit.store().list_sessions(caller.user.id).await?;
    let done = match visit.query.get("done") {
        Some("profile") => Some("Saved."),
        Some("password") => Some("Your password is changed. All your other sessions are signed out."),
        Some("session") => Some("The session is signed out."),
        Some("sessions") => Some("All your other sessions are signed out."),
        Some("second-factor-off") => Some("The second factor is removed."),
        Some(_) | None => None,
    };
    let rows = sessions.into_iter().map(|session| SessionRow {
        browser: user_agent::describe(&session.user_agent),
        address: session.address.map_or_else(|| "unknown".to_owned(), |address| address.to_string()),
        since: zone.shown_date(session.created_at),
        seen: zone.shown(session.last_seen_at),
        seen_ago: relative(session.last_seen_at, visit.now),
        current: session.id == caller.session.id,
        id: session.id,
    });
    let has_second_factor = caller.user.has_second_factor;
    let codes_left =
        if has_second_factor { visit.store().recovery_codes_left(caller.user.id).await? } else { 0 };
    Reply::page(&Page {
        shell: Shell::new(visit, caller, Vec::new(), "Your profile").await?,
        done,
        problems,
        name: typed.name,
        time_zone: typed.time_zone,
        theme: typed.theme,
        has_shortcuts: typed.has_shortcuts,
        zone: zone.abbreviation(visit.now),
        sessions: rows.collect(),
        has_second_factor,
        codes_left,
    })
}

async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let profile = &caller.user.profile;
    let typed = Typed {
        name: caller.user.name.as_str().to_owned(),
        time_zone: profile.time_zone.as_ref().map_or_else(String::new, |zone| zone.as_str().to_owned()),
        theme: profile.theme.name().to_owned(),
        has_shortcuts: !profile.shortcuts_off,
    };
    page(&visit, &caller, typed, Problems::default()).await
}

async fn save(visit: Visit, caller: SignedIn) -> Outcome {
    let form = &visit.form;
    let mut problems = Problems::default();
    let name = UserName::check(form.text("name")).map_err(|problem| problems.add("name", problem)).ok();
    let zone = form.text("time_zone").trim();
    let time_zone = match zone.parse::<TimeZoneName>() {
        _ if zone.is_empty() => Patch::Clear,
        Ok(zone) if Zone::is_known(&zone) => Patch::Set(zone),
        Ok(_) | Err(_) => {
            problems.add("time_zone", "Is not the name of a time zone such as Europe/Berlin");
            Patch::Keep
        }
    };
    let theme = Theme::from_name(form.text("theme"));
    let has_shortcuts = form.is_checked("shortcuts");
    if !problems.is_empty() {
        let typed = Typed {
            name: form.text("name").to_owned(),
            time_zone: zone.to_owned(),
            theme: form.text("theme").to_owned(),
            has_shortcuts,
        };
        let reply = page(&visit, &caller, typed, problems).await?;
        return Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY));
    }
    let patch = UserPatch { name, time_zone, theme, shortcuts_off: Some(!has_shortcuts) };
    visit.store().update_user(caller.user.id, patch, visit.change_by(&caller)).await?;
    Ok(Reply::see_other("/me?done=profile"))
}

async fn set_theme(visit: Visit, caller: SignedIn) -> Outcome {
    let theme = Theme::from_name(visit.form.text("theme"));
    let patch = UserPatch { theme, ..UserPatch::default() };
    visit.store().update_user(caller.user.id, patch, visit.change_by(&caller)).await?;
    Ok(Reply::see_other(visit.next_path().unwrap_or_else(|| "/me".to_owned())))
}

#[derive(Template)]
#[template(path = "pages/me_password.html")]
struct PasswordPage {
    shell: Shell,
    problems: Problems,
}

/// The breadcrumb of the pages below the profile.
fn crumbs() -> Vec<Crumb> {
    vec![Crumb::page("Your profile", "/me")]
}

async fn password_page(visit: &Visit, caller: &SignedIn, problems: Problems) -> Result<Reply, Problem> {
    let shell = Shell::new(visit, caller, crumbs(), "Change your password").await?;
    Reply::page(&PasswordPage { shell, problems })
}

async fn show_password(visit: Visit, caller: SignedIn) -> Outcome {
    password_page(&visit, &caller, Problems::default()).await
}

async fn change_password(visit: Visit, caller: SignedIn) -> Outcome {
    let (current, password) = (visit.form.secret("current"), visit.form.secret("password"));
    let origin = visit.change_by(&caller);
    let problems = match visit.store().change_password(caller.session.id, current, password, origin).await {
        Ok(token) => {
            let cookie = session::set(&visit, &caller.session, &token);
            return Ok(Reply::see_other("/me?done=password").cookie(cookie));
        }
        Err(UserError::WeakPassword(problem)) => {
            Problems::one("password", format!("The new password {problem}"))
        }
        Err(UserError::WrongPassword) => Problems::one("current", "The password is wrong."),
        Err(error) => return Err(error.into()),
    };
    let reply = password_page(&visit, &caller, problems).await?;
    Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY))
}

/// Ends a session of the user, also one that works on another account.
async fn end_session(visit: Visit, caller: SignedIn) -> Outcome {
    const NONE: &str = "This session does not exist";
    let id: SessionId = visit.id_in_path(NONE)?;
    let sessions = visit.store().list_sessions(caller.user.id).await?;
    let session = sessions.into_iter().find(|session| session.id == id).ok_or(Problem::NotFound(NONE))?;
    visit.store().revoke_session(session.account, id, visit.change_by(&caller)).await?;
    Ok(Reply::see_other("/me?done=session"))
}

async fn end_others(visit: Visit, caller: SignedIn) -> Outcome {
    let (user, own) = (caller.user.id, caller.session.id);
    visit.store().revoke_other_sessions(user, Some(own), visit.change_by(&caller)).await?;
    Ok(Reply::see_other("/me?done=sessions"))
}
