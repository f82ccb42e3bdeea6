//! `/local/users`: users of the account, for the command line on the machine of the server. These routes exist on the Unix
//! socket only and are no part of the published API: people manage each other in the dashboard, not with keys.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use telepath_core::clock::Timestamp;
use telepath_core::error::ErrorCode;
use telepath_core::id::UserId;
use telepath_core::page::PageRequest;
use telepath_core::user::{
    Email, Member, PASSWORD_LINK_LIFETIME, Role, SETUP_LINK_LIFETIME, UserName, UserToken,
};
use telepath_core::validation::Invalid;
use telepath_store::{HashingError, NewUser, UserError};

use crate::auth::caller::{Caller, LocalCaller};
use crate::error::ApiError;
use crate::extract::json::StrictJson;
use crate::extract::page::Pagination;
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::state::AppState;

/// Where a link leads in the dashboard.
const LINK_PATH: &str = "/password?code=";

pub(crate) fn local_router() -> Router<AppState> {
    Router::new()
        .route("/local/users", get(list_users).post(add_user))
        .route("/local/users/disable", post(disable_user))
        .route("/local/users/enable", post(enable_user))
        .route("/local/users/password-link", post(create_password_link))
        .route("/local/users/role", post(set_role))
}

/// A member of the account.
#[derive(Serialize)]
struct UserBody {
    id: UserId,
    email: String,
    name: String,
    role: &'static str,
    status: &'static str,
    second_factor: bool,
    created_at: Timestamp,
    last_sign_in_at: Option<Timestamp>,
}

impl From<Member> for UserBody {
    fn from(member: Member) -> Self {
        let Member { user, role, .. } = member;
        Self {
            id: user.id,
            email: user.email.to_string(),
            name: user.name.as_str().to_owned(),
            role: role.name(),
            status: user.status().name(),
            second_factor: user.has_second_factor,
            created_at: user.created_at,
            last_sign_in_at: user.last_sign_in_at,
        }
    }
}

/// A link that is shown once.
#[derive(Serialize)]
struct LinkBody {
    user: UserBody,
    /// Path and query, to be joined with the address of the dashboard.
    link: String,
    link_expires_at: Timestamp,
}

#[derive(Serialize)]
struct UserList {
    users: Vec<UserBody>,
    pagination: Pagination,
}

/// Which part of the list.
#[derive(Debug)]
struct ListQuery(PageRequest);

impl QueryForm for ListQuery {
    fn read(reader: &mut QueryReader) -> Self {
        Self(reader.page())
    }
}

async fn list_users(
    State(state): State<AppState>,
    LocalCaller(caller): LocalCaller,
    StrictQuery(ListQuery(page)): StrictQuery<ListQuery>,
) -> Result<Json<UserList>, ApiError> {
    let listed = state.store.list_members(caller.account, page).await?;
    let pagination = Pagination::of(page, listed.total);
    Ok(Json(UserList { users: listed.items.into_iter().map(UserBody::from).collect(), pagination }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AddUser {
    email: Option<String>,
    name: Option<String>,
    role: Option<String>,
}

impl AddUser {
    fn check(self) -> Result<NewUser, Invalid> {
        let mut problems = Invalid::default();
        let email = problems.require("email", self.email, |email| email.parse::<Email>());
        // Without a name, the part of the address that usually is one.
        let usual = email.as_ref().map(|email| email.local_part().to_owned());
        let name = problems.require("name", self.name.or(usual), |name| UserName::check(&name));
        let role = problems.require("role", self.role, |role| role.parse::<Role>());
        match (email, name, role) {
            (Some(email), Some(name), Some(role)) => Ok(NewUser { email, name, role }),
            _ => Err(problems),
        }
    }
}

async fn add_user(
    State(state): State<AppState>,
    LocalCaller(caller): LocalCaller,
    StrictJson(draft): StrictJson<AddUser>,
) -> Result<(StatusCode, Json<LinkBody>), ApiError> {
    let created = state.store.create_user(caller.account, draft.check()?, caller.origin()).await?;
    let expires_at = caller.at.plus(SETUP_LINK_LIFETIME);
    Ok((StatusCode::CREATED, Json(link_body(created.member, &created.link, expires_at))))
}

fn link_body(member: Member, token: &UserToken, link_expires_at: Timestamp) -> LinkBody {
    LinkBody { user: member.into(), link: format!("{LINK_PATH}{}", token.expose()), link_expires_at }
}

/// The id or the e-mail address of a user.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WhichUser {
    user: String,
}

/// Finds a user by id or address. A user of other accounts only is not found.
async fn find(state: &AppState, caller: &Caller, text: &str) -> Result<Member, ApiError> {
    let id = match text.parse::<UserId>() {
        Ok(id) => Some(id),
        Err(_) => match text.parse::<Email>() {
            Ok(email) => state.store.find_user(&email).await?.map(|user| user.id),
            Err(problem) => return Err(Invalid::one("user", format!("{problem}, or a user's id")).into()),
        },
    };
    let member = match id {
        Some(id) => state.store.get_member(caller.account, id).await?,
        None => None,
    };
    member.ok_or_else(|| ApiError::new(ErrorCode::NotFound, "There is no such user in this account"))
}

async fn disable_user(
    State(state): State<AppState>,
    LocalCaller(caller): LocalCaller,
    StrictJson(which): StrictJson<WhichUser>,
) -> Result<Json<UserBody>, ApiError> {
    let member = find(&state, &caller, &which.user).await?;
    let user = state.store.disable_user(member.user.id, caller.origin()).await?;
    Ok(Json(Member { user, ..member }.into()))
}

async fn enable_user(
    State(state): State<AppState>,
    LocalCaller(caller): LocalCaller,
    StrictJson(which): StrictJson<WhichUser>,
) -> Result<Json<UserBody>, ApiError> {
    let member = find(&state, &caller, &which.user).await?;
    let user = state.store.enable_user(member.user.id, caller.origin()).await?;
    Ok(Json(Member { user, ..member }.into()))
}

async fn create_password_link(
    State(state): State<AppState>,
    LocalCaller(caller): LocalCaller,
    StrictJson(which): StrictJson<WhichUser>,
) -> Result<Json<LinkBody>, ApiError> {
    let member = find(&state, &caller, &which.user).await?;
    let token = state.store.create_password_link(member.user.id, caller.origin()).await?;
    Ok(Json(link_body(member, &token, caller.at.plus(PASSWORD_LINK_LIFETIME))))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetRole {
    user: String,
    /// `null` removes the user from the account.
    role: Option<String>,
}

async fn set_role(
    State(state): State<AppState>,
    LocalCaller(caller): LocalCaller,
    StrictJson(change): StrictJson<SetRole>,
) -> Result<Json<Option<UserBody>>, ApiError> {
    let member = find(&state, &caller, &change.user).await?;
    let (account, user, origin) = (caller.account, member.user.id, caller.origin());
    let Some(role) = change.role else {
        state.store.remove_member(account, user, origin).await?;
        return Ok(Json(None));
    };
    let role: Role = role.parse().map_err(|problem| Invalid::one("role", format!("{problem}")))?;
    Ok(Json(Some(state.store.set_role(account, user, role, origin).await?.into())))
}

impl From<UserError> for ApiError {
    fn from(error: UserError) -> Self {
        let text = error.to_string();
        let refused = |field: &str| Invalid::one(field, text.clone()).into();
        match error {
            UserError::NotFound | UserError::SessionNotFound | UserError::InvitationNotFound => {
                ApiError::new(ErrorCode::NotFound, text)
            }
            UserError::EmailTaken => Invalid::one("email", "belongs to another user").into(),
            UserError::LastOwner => {
                Invalid::one("role", "cannot be taken from the last owner who is not disabled").into()
            }
            UserError::WeakPassword(problem) => Invalid::one("password", problem.to_string()).into(),
            UserError::InvalidLink
            | UserError::AlreadyMember
            | UserError::NoMembership
            | UserError::Forbidden
            | UserError::Disabled
            | UserError::TooMany { .. }
            | UserError::WrongPassword
            | UserError::WrongCode
            | UserError::SecondFactorState => refused("user"),
            UserError::Wait(wait) => ApiError::unavailable(format!("{text} ({wait:?})")),
            UserError::Hashing(HashingError::Busy | HashingError::Failed(_)) => ApiError::unavailable(text),
            UserError::Store(error) => error.into(),
        }
    }
}
