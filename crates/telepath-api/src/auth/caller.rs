//! Who sends an admitted request, and the permission to do something as a type: a handler that takes
//! [`Authorized`]`<TrunksWrite>` cannot be reached by a caller without that scope, and one that forgets it has no account
//! to work on.

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
use crate::meters::Refusal;

/// Who sends an admitted request.
#[derive(Clone)]
pub(crate) struct Caller {
    /// A key, or local administration.
    pub(crate) actor: Actor,
    /// The key as it stands in memory; `None` for local administration.
    pub(crate) key: Option<KeyHandle>,
    /// Whose data it may see.
    pub(crate) account: AccountId,
    /// What it may do.
    pub(crate) scopes: ScopeSet,
    /// From where; `None` for local administration.
    pub(crate) address: Option<IpAddr>,
    /// When the request was admitted.
    pub(crate) at: Timestamp,
    /// The attempt that this is, when the request carries an `Idempotency-Key`.
    pub(crate) idempotency: Option<IdempotencyId>,
}

impl Caller {
    /// The same as an argument of the store's functions.
    pub(crate) const fn origin(&self) -> Origin {
        Origin { actor: self.actor, address: self.address, at: self.at, idempotency: self.idempotency }
    }
}

/// Somebody without a key, on a route for which none is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visitor {
    /// From where; `None` through the socket in the data folder.
    pub(crate) address: Option<IpAddr>,
    /// When the request was admitted.
    pub(crate) at: Timestamp,
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Caller>();
        let as_visitor = |caller: &Caller| Self { address: caller.address, at: caller.at };
        let visitor = parts.extensions.get::<Self>().copied().or_else(|| caller.map(as_visitor));
        visitor.ok_or_else(|| ApiError::internal("a route for visitors was reached by nobody"))
    }
}

/// What a handler needs its caller to have.
pub(crate) trait Need: Send + Sync + 'static {
    /// The scope; `None` when any key will do.
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
}

/// Proof that the caller has what the handler needs.
pub(crate) struct Authorized<N: Need> {
    pub(crate) caller: Caller,
    need: PhantomData<N>,
}

impl<S: Sync, N: Need> FromRequestParts<S> for Authorized<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        // The gate puts a caller into every request under /v1; without one there is no permission at all.
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
