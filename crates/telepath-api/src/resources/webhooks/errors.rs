//! The errors of refused changes of webhook endpoints and deliveries.

use telepath_core::error::ErrorCode;
use telepath_core::id::WebhookId;
use telepath_store::WebhookChangeError;

use crate::error::ApiError;
use crate::extract::path::Resource as _;
use crate::refusal::Refusal;

/// The error of a handler that knows the endpoint's id and names it.
pub(crate) fn change_error(id: WebhookId) -> impl FnOnce(WebhookChangeError) -> ApiError {
    move |error| match error {
        WebhookChangeError::NotFound => WebhookId::not_found(&id.to_string()),
        WebhookChangeError::DeliveryNotFound
        | WebhookChangeError::TooManySecrets
        | WebhookChangeError::Disabled
        | WebhookChangeError::OutOfReach
        | WebhookChangeError::MissingScope(_)
        | WebhookChangeError::Invalid(_)
        | WebhookChangeError::Store(_) => error.into(),
    }
}

impl From<WebhookChangeError> for ApiError {
    fn from(error: WebhookChangeError) -> Self {
        match error {
            // `change_error` names the id where it is known.
            WebhookChangeError::NotFound => ApiError::of(ErrorCode::WebhookNotFound),
            WebhookChangeError::DeliveryNotFound => ApiError::of(ErrorCode::DeliveryNotFound),
            WebhookChangeError::TooManySecrets => ApiError::of(ErrorCode::TooManySecrets),
            WebhookChangeError::Disabled => ApiError::of(ErrorCode::WebhookDisabled),
            WebhookChangeError::OutOfReach => {
                let message = "This key is limited to trunks: an endpoint needs trunk_ids among those of the key, and \
                               only events of call.* and agent.*";
                ApiError::new(ErrorCode::InsufficientScope, message.to_owned()).counted(Refusal::Scope)
            }
            WebhookChangeError::MissingScope(scope) => {
                ApiError::insufficient_scope(scope).counted(Refusal::Scope)
            }
            WebhookChangeError::Invalid(problems) => problems.into(),
            WebhookChangeError::Store(error) => error.into(),
        }
    }
}
