//! The sender of an admitted request, and permission as an argument type: a handler that takes
//! [`Authorized`]`<TrunksWrite>` cannot be reached without that scope, and a handler that takes no such argument has no
//! account to work on.

use std::marker::PhantomData;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use telepath_core::account::Actor;
use telepath_core::audit::Origin;
use telepath_core::clock::Timestamp;
use telepath_core::error::ErrorCode;
use telepath_core::id::{AccountId, IdempotencyId};
use telepath_core::scope::{Scope, ScopeSet};
use telepath_store::KeyHandle;

use crate::error::ApiError;
use crate::refusal::Refusal;

/// The sender of an admitted request.
#[derive(Clone)]
pub(crate) struct Caller {
    /// A key, or local administration.
    pub(crate) actor: Actor,
    /// The key's entry in the key table; `None` for local administration.
    pub(crate) key: Option<KeyHandle>,
    /// The account whose data it may see.
    pub(crate) account: AccountId,
    pub(crate) scopes: ScopeSet,
    /// `None` for local administration.
    pub(crate) address: Option<IpAddr>,
    /// When the request was admitted.
    pub(crate) at: Timestamp,
    /// Present when the request carries an `Idempotency-Key`.
    pub(crate) idempotency: Option<IdempotencyId>,
}

impl Caller {
    /// The origin that the store records for a change.
    pub(crate) const fn origin(&self) -> Origin {
        Origin { actor: self.actor, address: self.address, at: self.at, idempotency: self.idempotency }
    }
}

/// A client without a key, on a route that requires none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anonymous {
    /// `None` through the Unix socket.
    pub(crate) address: Option<IpAddr>,
    /// When the request was admitted.
    pub(crate) at: Timestamp,
}

impl<S: Sync> FromRequestParts<S> for Anonymous {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Caller>();
        let as_anonymous = |caller: &Caller| Self { address: caller.address, at: caller.at };
        let anonymous = parts.extensions.get::<Self>().copied().or_else(|| caller.map(as_anonymous));
        anonymous.ok_or_else(|| ApiError::internal("an open route was reached without an admission"))
    }
}

/// A requirement of a handler.
pub(crate) trait Need: Send + Sync + 'static {
    /// The scope; `None` if any valid key is sufficient.
    const SCOPE: Option<Scope>;
}

macro_rules! needs {
    ($($name:ident = $scope:expr;)+) => {$(
        #[derive(Debug)]
        pub(crate) enum $name {}

        impl Need for $name {
            const SCOPE: Option<Scope> = $scope;
        }
    )+};
}

needs! {
    AnyKey = None;
    TrunksRead = Some(Scope::TrunksRead);
    TrunksWrite = Some(Scope::TrunksWrite);
    CallsRead = Some(Scope::CallsRead);
    CallsWrite = Some(Scope::CallsWrite);
    KeysRead = Some(Scope::KeysRead);
    KeysWrite = Some(Scope::KeysWrite);
    UsageRead = Some(Scope::UsageRead);
    AuditRead = Some(Scope::AuditRead);
    WebhooksRead = Some(Scope::WebhooksRead);
    WebhooksWrite = Some(Scope::WebhooksWrite);
    AccountRead = Some(Scope::AccountRead);
    AccountWrite = Some(Scope::AccountWrite);
}

/// Proof that the caller meets the handler's requirement.
pub(crate) struct Authorized<N: Need> {
    pub(crate) caller: Caller,
    need: PhantomData<N>,
}

impl<S: Sync, N: Need> FromRequestParts<S> for Authorized<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        // Admission attaches a caller to every request under /v1; without one there is no permission.
        let caller =
            parts.extensions.remove::<Caller>().ok_or_else(|| ApiError::of(ErrorCode::MissingApiKey))?;
        match N::SCOPE {
            Some(scope) if !caller.scopes.allows(scope) => {
                Err(ApiError::insufficient_scope(scope).counted(Refusal::Scope))
            }
            Some(_) | None => Ok(Self { caller, need: PhantomData }),
        }
    }
}

/// Proof that the request comes from local administration. To every other caller the route does not exist.
pub(crate) struct LocalAdministration {
    pub(crate) caller: Caller,
}

impl<S: Sync> FromRequestParts<S> for LocalAdministration {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let caller =
            parts.extensions.remove::<Caller>().ok_or_else(|| ApiError::of(ErrorCode::MissingApiKey))?;
        if caller.key.is_none() { Ok(Self { caller }) } else { Err(ApiError::of(ErrorCode::NotFound)) }
    }
}
