//! `/local/users/invitations`: invitations to the account, for local administration only.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use telepath_api_types::users::{CreateInvitation, Invitation, InvitationList, InvitationWithCode};
use telepath_core::id::InvitationId;
use telepath_core::page::{CREATED_AT, Page, PageRequest};
use telepath_core::secret::SecretText;
use telepath_core::user::{Email, Role};
use telepath_core::validation::Invalid;
use telepath_store::{NewInvitation, UserError};

use crate::auth::caller::LocalAdministration;
use crate::endpoint::{Endpoints, endpoints};
use crate::error::ApiError;
use crate::extract::json::StrictJson;
use crate::extract::path::PathId;
use crate::extract::query::{QueryForm, QueryReader, StrictQuery};
use crate::state::AppState;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![
        list_invitations,
        create_invitation => [MissingRequired, LimitReached],
        revoke_invitation,
    ]
}

/// Which part of the list.
#[derive(Debug)]
struct ListQuery(PageRequest);

impl QueryForm for ListQuery {
    fn read(reader: &mut QueryReader) -> Self {
        Self(reader.page::<InvitationId>(Some(CREATED_AT)))
    }
}

/// List the open invitations to the account
#[utoipa::path(get, path = "/local/users/invitations", tag = "Users", operation_id = "listInvitations",
    params(("limit" = Option<u32>, Query, description = "Invitations per page, 1 to 100.", minimum = 1, maximum = 100),
        ("offset" = Option<u32>, Query, description = "Invitations to skip."),
        ("cursor" = Option<String>, Query, description = "`pagination.next_cursor` of the previous page; replaces `offset`.")),
    responses((status = 200, description = "One page of invitations, the newest first.", body = InvitationList)))]
async fn list_invitations(
    State(state): State<AppState>,
    LocalAdministration { caller }: LocalAdministration,
    StrictQuery(ListQuery(page)): StrictQuery<ListQuery>,
) -> Result<Json<InvitationList>, ApiError> {
    let Page { items, position } = state.store.list_invitations(caller.account, page).await?;
    let invitations = items.into_iter().map(Invitation::from).collect();
    Ok(Json(InvitationList { invitations, pagination: position.into() }))
}

/// Invite somebody to the account
///
/// The response contains a code that is accepted once, within 72 hours. An open invitation of the same address is replaced.
#[utoipa::path(post, path = "/local/users/invitations", tag = "Users", operation_id = "createInvitation",
    request_body = CreateInvitation,
    responses((status = 201, description = "The invitation and its code.", body = InvitationWithCode)))]
async fn create_invitation(
    State(state): State<AppState>,
    LocalAdministration { caller }: LocalAdministration,
    StrictJson(request): StrictJson<CreateInvitation>,
) -> Result<(StatusCode, Json<InvitationWithCode>), ApiError> {
    let mut problems = Invalid::default();
    let email = problems.require("email", request.email, |email| email.parse::<Email>());
    let role = problems.require("role", request.role, |role| role.parse::<Role>());
    let Some((email, role)) = email.zip(role) else { return Err(problems.into()) };
    let made =
        state.store.create_invitation(caller.account, NewInvitation { email, role }, caller.origin()).await;
    let made = made.map_err(|error| match error {
        UserError::AlreadyMember => Invalid::one("email", "belongs to a member of the account").into(),
        other => ApiError::from(other),
    })?;
    let code = Some(SecretText::new(made.link.expose().to_owned()));
    Ok((StatusCode::CREATED, Json(InvitationWithCode { invitation: made.invitation.into(), code })))
}

/// Revoke an open invitation
#[utoipa::path(delete, path = "/local/users/invitations/{id}", tag = "Users", operation_id = "revokeInvitation",
    params(("id" = String, Path, description = "The invitation's id.")),
    responses((status = 204, description = "Its code does not work any more.")))]
async fn revoke_invitation(
    State(state): State<AppState>,
    LocalAdministration { caller }: LocalAdministration,
    PathId(id): PathId<InvitationId>,
) -> Result<StatusCode, ApiError> {
    state.store.revoke_invitation(caller.account, id, caller.origin()).await?;
    Ok(StatusCode::NO_CONTENT)
}
