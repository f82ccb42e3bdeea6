//! The sender of an admitted request, and permission as an argument type: a handler that takes
//! [`Authorized`]`<TrunksWrite>` cannot be reached without that scope, and a handler that takes no such argument has no
//! account to work on.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use telepath_core::account::Actor;
use telepath_core::audit::Origin;
use telepath_core::clock::Timestamp;
use telepath_core::error::ErrorCode;
use telepath_core::id::{AccountId, IdempotencyId};
use telepath_core::principal::Principal;
use telepath_core::reach::{Reach, TrunkAccess};
use telepath_core::scope::{Scope, ScopeSet};
use telepath_core::secret::HashedKey;
use telepath_store::KeyHandle;

use crate::auth::authorization::Authorization;
use crate::error::ApiError;
use crate::refusal::Refusal;

/// The account that a request works on, and the rights there.
#[derive(Debug, Clone)]
pub(crate) struct AccountGrant {
    pub(crate) account: AccountId,
    pub(crate) scopes: ScopeSet,
    /// The trunks that it may see and change.
    pub(crate) trunks: TrunkAccess,
}

/// The sender of an admitted request, as admission leaves it for the handler.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) principal: Principal<KeyHandle>,
    /// The secret of the key that sent the request.
    pub(crate) secret: Option<HashedKey>,
    /// `None` for [`Principal::Anonymous`].
    pub(crate) grant: Option<AccountGrant>,
    /// `None` through the Unix socket.
    pub(crate) address: Option<IpAddr>,
    /// When the request was admitted.
    pub(crate) at: Timestamp,
    /// Present when the request carries an `Idempotency-Key`.
    pub(crate) idempotency: Option<IdempotencyId>,
}

impl Sender {
    /// The actor and the account of what the sender does; `None` for an anonymous one.
    pub(crate) fn identity(&self) -> Option<(Actor, AccountGrant)> {
        self.principal.actor().zip(self.grant.clone())
    }
}

/// Any sender: for routes that need no key.
impl<S: Sync> FromRequestParts<S> for Sender {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let sender = parts.extensions.remove::<Self>();
        sender.ok_or_else(|| ApiError::internal("a handler was reached without an admission"))
    }
}

/// A sender who may work on an account.
pub(crate) struct Caller {
    pub(crate) principal: Principal<KeyHandle>,
    secret: Option<HashedKey>,
    origin: Origin,
    /// The account whose data it may see.
    pub(crate) account: AccountId,
    pub(crate) scopes: ScopeSet,
    trunks: TrunkAccess,
    /// When the request was admitted.
    pub(crate) at: Timestamp,
}

impl Caller {
    /// Takes the sender out of a request. An anonymous one has no account to work on.
    fn take(parts: &mut Parts) -> Result<Self, ApiError> {
        let sender = parts.extensions.remove::<Sender>();
        sender.and_then(Self::of).ok_or_else(|| ApiError::of(ErrorCode::MissingApiKey))
    }

    fn of(sender: Sender) -> Option<Self> {
        let Sender { principal, secret, grant, address, at, idempotency } = sender;
        let AccountGrant { account, scopes, trunks } = grant?;
        let origin = Origin { idempotency, ..principal.origin(address, at)? };
        Some(Self { principal, secret, origin, account, scopes, trunks, at })
    }

    /// What the caller may see and change.
    pub(crate) fn reach(&self) -> Reach {
        Reach { account: self.account, trunks: self.trunks.clone() }
    }

    /// Refuses a caller without a scope, or one that is limited to trunks where the whole account is needed.
    pub(crate) fn require_scope(&self, scope: Scope, on_whole_account: bool) -> Result<(), ApiError> {
        if !self.scopes.allows(scope) {
            return Err(ApiError::insufficient_scope(scope).counted(Refusal::Scope));
        }
        if on_whole_account && self.trunks.is_limited() {
            let error = ApiError::new(ErrorCode::InsufficientScope, LIMITED_TO_TRUNKS.to_owned());
            return Err(error.counted(Refusal::Scope));
        }
        Ok(())
    }

    /// What a response that is sent for longer was admitted with, when it needs `scope`.
    pub(crate) fn authorization(&self, scope: Scope) -> Authorization {
        match (&self.principal, self.secret, self.origin.address) {
            (Principal::ApiKey(handle), Some(secret), Some(address)) => {
                let (handle, trunks) = (handle.clone(), self.trunks.clone());
                Authorization::Key { handle, secret, address, scope, trunks }
            }
            (Principal::Local { .. }, _, _) => Authorization::Local,
            (Principal::ApiKey(_) | Principal::User(_) | Principal::Anonymous, _, _) => Authorization::None,
        }
    }

    /// Refuses a caller without the scope of a handler.
    fn require<N: Need>(&self) -> Result<(), ApiError> {
        N::SCOPE.map_or(Ok(()), |scope| self.require_scope(scope, false))
    }

    /// The origin that the store records for a change.
    pub(crate) const fn origin(&self) -> Origin {
        self.origin
    }
}

/// A secret-scanning partner. The handler verifies the signature of what it sends.
pub(crate) struct Partner(pub(crate) Sender);

impl<S: Sync> FromRequestParts<S> for Partner {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Sender::from_request_parts(parts, state).await.map(Self)
    }
}

/// Marks an open route whose requests are not counted against the address: health probes, which a load balancer sends often
/// and which cost nothing.
pub(crate) struct Uncounted;

impl<S: Sync> FromRequestParts<S> for Uncounted {
    type Rejection = Infallible;

    async fn from_request_parts(_parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self)
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
    AnalyticsRead = Some(Scope::AnalyticsRead);
    UsageRead = Some(Scope::UsageRead);
    AuditRead = Some(Scope::AuditRead);
    WebhooksRead = Some(Scope::WebhooksRead);
    WebhooksWrite = Some(Scope::WebhooksWrite);
    AccountRead = Some(Scope::AccountRead);
    AccountWrite = Some(Scope::AccountWrite);
    MetricsRead = Some(Scope::MetricsRead);
}

/// Proof that the caller meets the handler's requirement, and may work on the whole account. A key that is limited to
/// trunks is refused.
pub(crate) struct Authorized<N: Need> {
    pub(crate) caller: Caller,
    need: PhantomData<N>,
}

impl<S: Sync, N: Need> FromRequestParts<S> for Authorized<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        // Admission attaches a sender to every request under /v1; without one there is no permission.
        let caller = Caller::take(parts)?;
        caller.require::<N>()?;
        if caller.trunks.is_limited() {
            let error = ApiError::new(ErrorCode::InsufficientScope, LIMITED_TO_TRUNKS.to_owned());
            return Err(error.counted(Refusal::Scope));
        }
        Ok(Self { caller, need: PhantomData })
    }
}

const LIMITED_TO_TRUNKS: &str = "This key is limited to trunks and cannot be used for the whole account";

/// Proof that the caller meets the handler's requirement on the trunks that it reaches. The handler passes
/// [`Caller::reach`] to the store.
pub(crate) struct AuthorizedWithin<N: Need> {
    pub(crate) caller: Caller,
    need: PhantomData<N>,
}

impl<S: Sync, N: Need> FromRequestParts<S> for AuthorizedWithin<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let caller = Caller::take(parts)?;
        caller.require::<N>()?;
        Ok(Self { caller, need: PhantomData })
    }
}

/// Proof that the request comes from local administration. To every other caller the route does not exist.
pub(crate) struct LocalAdministration {
    pub(crate) caller: Caller,
}

impl<S: Sync> FromRequestParts<S> for LocalAdministration {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let caller = Caller::take(parts)?;
        match caller.principal {
            Principal::Local { .. } => Ok(Self { caller }),
            Principal::ApiKey(_) | Principal::User(_) | Principal::Anonymous => {
                Err(ApiError::of(ErrorCode::NotFound))
            }
        }
    }
}
