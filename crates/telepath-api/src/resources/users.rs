//! `/local/users`: the users of an account, for local administration only.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use telepath_api_types::users::{
    CreateUser, UpdateUserRole, User, UserList, UserReference, UserWithPasswordCode,
};
use telepath_core::clock::Timestamp;
use telepath_core::error::ErrorCode;
use telepath_core::id::UserId;
use telepath_core::page::{CREATED_AT, Page, PageRequest};
use telepath_core::secret::SecretText;
use telepath_core::user::{
    Email, Member, PASSWORD_LINK_LIFETIME, Role, SETUP_LINK_LIFETIME, UserName, UserToken,
};
use telepath_core::validation::Invalid;
use telepath_store::{HashingError, NewUser, UserError};

use crate::auth::caller::{Caller, LocalAdministration};
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::StrictJson;
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::state::AppState;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![
        list_users,
        create_user => [MissingRequired, LimitReached],
        disable_user => [NotFound],
        enable_user => [NotFound],
        create_password_code => [NotFound],
        remove_second_factor => [NotFound],
        set_user_role => [NotFound, LimitReached],
    ]
}

/// Which part of the list.
#[derive(Debug)]
struct ListQuery(PageRequest);

impl QueryForm for ListQuery {
    fn read(reader: &mut QueryReader) -> Self {
        Self(reader.page::<UserId>(Some(CREATED_AT)))
    }
}

/// List the users of the account
#[utoipa::path(get, path = "/local/users", tag = "Users", operation_id = "listUsers",
    params(("limit" = Option<u32>, Query, description = "Users per page, 1 to 100.", minimum = 1, maximum = 100),
        ("offset" = Option<u32>, Query, description = "Users to skip."),
        ("cursor" = Option<String>, Query, description = "`pagination.next_cursor` of the previous page; replaces `offset`.")),
    responses((status = 200, description = "One page of users, the oldest first.", body = UserList)))]
async fn list_users(
    State(state): State<AppState>,
    LocalAdministration { caller }: LocalAdministration,
    StrictQuery(ListQuery(page)): StrictQuery<ListQuery>,
) -> Result<Json<UserList>, ApiError> {
    let Page { items, position } = state.store.list_members(caller.account, page).await?;
    Ok(Json(UserList { users: items.into_iter().map(User::from).collect(), pagination: position.into() }))
}

/// Checks a request to create a user.
fn checked(request: CreateUser) -> Result<NewUser, Invalid> {
    let mut problems = Invalid::default();
    let email = problems.require("email", request.email, |email| email.parse::<Email>());
    let name = match (request.name, &email) {
        // The default depends on the address, whose problem is already reported.
        (None, None) => None,
        (None, Some(email)) => problems.require("name", Some(email.local_part()), UserName::check),
        (Some(name), _) => problems.require("name", Some(name), |name| UserName::check(&name)),
    };
    let role = problems.require("role", request.role, |role| role.parse::<Role>());
    match (email, name, role) {
        (Some(email), Some(name), Some(role)) => Ok(NewUser { email, name, role }),
        _ => Err(problems),
    }
}

/// Create a user as a member of the account
///
/// The response contains a code that sets the first password, once, within 72 hours.
#[utoipa::path(post, path = "/local/users", tag = "Users", operation_id = "createUser", request_body = CreateUser,
    responses((status = 201, description = "The user.", body = UserWithPasswordCode)))]
async fn create_user(
    State(state): State<AppState>,
    LocalAdministration { caller }: LocalAdministration,
    StrictJson(request): StrictJson<CreateUser>,
) -> Result<(StatusCode, Json<UserWithPasswordCode>), ApiError> {
    let created = state.store.create_user(caller.account, checked(request)?, caller.origin()).await?;
    let expires_at = caller.at.plus(SETUP_LINK_LIFETIME);
    Ok((StatusCode::CREATED, Json(with_code(created.member, &created.link, expires_at))))
}

fn with_code(member: Member, token: &UserToken, password_code_expires_at: Timestamp) -> UserWithPasswordCode {
    let password_code = Some(SecretText::new(token.expose().to_owned()));
    UserWithPasswordCode { user: member.into(), password_code, password_code_expires_at }
}

/// Finds a member of the account by id or email address.
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
    member.ok_or_else(|| ApiError::new(ErrorCode::NotFound, "The account has no such user"))
}

/// Disable a user and end their sessions in every account
#[utoipa::path(post, path = "/local/users/disable", tag = "Users", operation_id = "disableUser",
    request_body = UserReference, responses((status = 200, description = "The user.", body = User)))]
async fn disable_user(
    State(state): State<AppState>,
    LocalAdministration { caller }: LocalAdministration,
    StrictJson(which): StrictJson<UserReference>,
) -> Result<Json<User>, ApiError> {
    let member = find(&state, &caller, &which.user).await?;
    let user = state.store.disable_user(member.user.id, caller.origin()).await?;
    Ok(Json(Member { user, ..member }.into()))
}

/// Enable a disabled user
#[utoipa::path(post, path = "/local/users/enable", tag = "Users", operation_id = "enableUser",
    request_body = UserReference, responses((status = 200, description = "The user.", body = User)))]
async fn enable_user(
    State(state): State<AppState>,
    LocalAdministration { caller }: LocalAdministration,
    StrictJson(which): StrictJson<UserReference>,
) -> Result<Json<User>, ApiError> {
    let member = find(&state, &caller, &which.user).await?;
    let user = state.store.enable_user(member.user.id, caller.origin()).await?;
    Ok(Json(Member { user, ..member }.into()))
}

/// Create a code that sets a new password
///
/// The code works once, within an hour. Earlier codes stop working.
#[utoipa::path(post, path = "/local/users/password-code", tag = "Users", operation_id = "createPasswordCode",
    request_body = UserReference,
    responses((status = 200, description = "The user and the code.", body = UserWithPasswordCode)))]
async fn create_password_code(
    State(state): State<AppState>,
    LocalAdministration { caller }: LocalAdministration,
    StrictJson(which): StrictJson<UserReference>,
) -> Result<Json<UserWithPasswordCode>, ApiError> {
    let member = find(&state, &caller, &which.user).await?;
    let token = state.store.create_password_link(member.user.id, caller.origin()).await?;
    Ok(Json(with_code(member, &token, caller.at.plus(PASSWORD_LINK_LIFETIME))))
}

/// Remove the lost second factor of a user
///
/// The recovery codes are removed as well, and all sessions of the user end.
#[utoipa::path(post, path = "/local/users/second-factor/remove", tag = "Users", operation_id = "removeSecondFactor",
    request_body = UserReference, responses((status = 200, description = "The user.", body = User)))]
async fn remove_second_factor(
    State(state): State<AppState>,
    LocalAdministration { caller }: LocalAdministration,
    StrictJson(which): StrictJson<UserReference>,
) -> Result<Json<User>, ApiError> {
    let mut member = find(&state, &caller, &which.user).await?;
    if !member.user.has_second_factor {
        return Err(Invalid::one("user", "has no second factor").into());
    }
    state.store.remove_member_second_factor(caller.account, member.user.id, caller.origin()).await?;
    member.user.has_second_factor = false;
    Ok(Json(member.into()))
}

/// Change the role of a user, or remove the user from the account
#[utoipa::path(post, path = "/local/users/role", tag = "Users", operation_id = "setUserRole",
    request_body = UpdateUserRole,
    responses((status = 200, description = "The user; null if they were removed.", body = Option<User>)))]
async fn set_user_role(
    State(state): State<AppState>,
    LocalAdministration { caller }: LocalAdministration,
    StrictJson(change): StrictJson<UpdateUserRole>,
) -> Result<Json<Option<User>>, ApiError> {
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
            | UserError::OtherAccounts
            | UserError::Disabled
            | UserError::WrongPassword
            | UserError::WrongCode
            | UserError::UnverifiedEmail
            | UserError::SecondFactorState => refused("user"),
            UserError::Wait(wait) => ApiError::unavailable(format!("{text} ({wait:?})")),
            UserError::Hashing(HashingError::Busy | HashingError::Failed(_)) => ApiError::unavailable(text),
            UserError::Store(error) => error.into(),
        }
    }
}
