//! The endpoints of a resource. What a route requires and which errors it may return follow from the signature of its
//! handler: [`Authorized`] and [`AuthorizedWithin`] name the scope, an extractor names the errors of what it reads. A handler that can fail in
//! further ways lists those codes where it is registered, with the macro [`endpoints`].

use axum::body::Body;
use axum::extract::State;
use axum::handler::Handler;
use axum::http::{HeaderMap, Method, Request};
use telepath_core::error::ErrorCode;
use utoipa::openapi::path::PathItem;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::auth::caller::{
    Authorized, AuthorizedWithin, LocalAdministration, Need, Partner, Sender, Uncounted,
};
use crate::extract::json::{OptionalJson, ReportedKeys, StrictJson};
use crate::extract::path::{PathId, PathIds, PathName, Resource};
use crate::extract::query::StrictQuery;
use crate::routes::{Access, RouteRow};
use crate::state::AppState;

/// What is known of a route from the signature of its handler.
pub(crate) struct Declaration {
    access: Access,
    codes: Vec<ErrorCode>,
}

/// An argument of a handler, or the tuple of all of them.
pub(crate) trait Declares {
    fn declare(route: &mut Declaration);
}

impl Declares for State<AppState> {
    fn declare(_route: &mut Declaration) {}
}

impl Declares for HeaderMap {
    fn declare(_route: &mut Declaration) {}
}

impl Declares for PathName {
    fn declare(_route: &mut Declaration) {}
}

impl<N: Need> Declares for Authorized<N> {
    fn declare(route: &mut Declaration) {
        route.access = N::SCOPE.map_or(Access::AnyKey, Access::Scope);
    }
}

impl<N: Need> Declares for AuthorizedWithin<N> {
    fn declare(route: &mut Declaration) {
        route.access = N::SCOPE.map_or(Access::AnyKey, Access::Scope);
    }
}

impl Declares for LocalAdministration {
    fn declare(route: &mut Declaration) {
        route.access = Access::Local;
    }
}

impl Declares for Uncounted {
    fn declare(route: &mut Declaration) {
        route.access = Access::Probe;
    }
}

impl Declares for Sender {
    fn declare(route: &mut Declaration) {
        route.access = Access::Reporter;
    }
}

impl Declares for Partner {
    fn declare(route: &mut Declaration) {
        route.access = Access::Partner;
    }
}

impl<T> Declares for StrictQuery<T> {
    fn declare(route: &mut Declaration) {
        route.codes.push(ErrorCode::InvalidParams);
    }
}

/// The errors of every route that reads a body.
fn declare_body(route: &mut Declaration) {
    route.codes.extend([
        ErrorCode::InvalidParams,
        ErrorCode::InvalidJson,
        ErrorCode::RequestTimeout,
        ErrorCode::BodyTooLarge,
        ErrorCode::UnsupportedMediaType,
    ]);
}

impl<T> Declares for StrictJson<T> {
    fn declare(route: &mut Declaration) {
        declare_body(route);
    }
}

impl<T> Declares for ReportedKeys<T> {
    fn declare(route: &mut Declaration) {
        declare_body(route);
    }
}

impl<T> Declares for OptionalJson<T> {
    fn declare(route: &mut Declaration) {
        declare_body(route);
    }
}

impl Declares for Request<Body> {
    fn declare(route: &mut Declaration) {
        declare_body(route);
    }
}

impl<T: Resource> Declares for PathId<T> {
    fn declare(route: &mut Declaration) {
        route.codes.push(T::NOT_FOUND);
    }
}

impl<T: Resource, U: Resource> Declares for PathIds<T, U> {
    fn declare(route: &mut Declaration) {
        route.codes.extend([T::NOT_FOUND, U::NOT_FOUND]);
    }
}

/// A handler without arguments.
impl Declares for ((),) {
    fn declare(_route: &mut Declaration) {}
}

/// The first type of the tuple is axum's marker of how the last argument is extracted.
macro_rules! declares_of_tuples {
    ($(($($argument:ident),+))+) => {$(
        impl<Marker, $($argument: Declares),+> Declares for (Marker, $($argument,)+) {
            fn declare(route: &mut Declaration) {
                $($argument::declare(route);)+
            }
        }
    )+};
}

declares_of_tuples! {
    (A)
    (A, B)
    (A, B, C)
    (A, B, C, D)
    (A, B, C, D, E)
}

/// The endpoints of a resource: their routes and the rows of the route table.
pub(crate) struct Endpoints {
    pub(crate) router: OpenApiRouter<AppState>,
    pub(crate) rows: Vec<RouteRow>,
}

/// Registers handlers: `endpoints![get_trunk, create_trunk => [MissingRequired]]`. The list names the codes that do not
/// follow from the handler's arguments.
macro_rules! endpoints {
    ($($handler:ident $(=> [$($code:ident),* $(,)?])?),* $(,)?) => {
        $crate::endpoint::Endpoints::with(utoipa_axum::router::OpenApiRouter::new())
            $(.add($handler, utoipa_axum::routes!($handler), &[
                $($(telepath_core::error::ErrorCode::$code),*)?
            ]))*
    };
}
pub(crate) use endpoints;

impl Endpoints {
    /// Starts from a router without routes.
    pub(crate) fn with(router: OpenApiRouter<AppState>) -> Self {
        Self { router, rows: Vec::new() }
    }

    /// Adds the route of one handler. Used through the macro [`endpoints`].
    pub(crate) fn add<H, T>(
        mut self,
        _handler: H,
        routes: UtoipaMethodRouter<AppState>,
        codes: &[ErrorCode],
    ) -> Self
    where
        H: Handler<T, AppState>,
        T: Declares,
    {
        let mut route = Declaration { access: Access::Open, codes: codes.to_vec() };
        T::declare(&mut route);
        for (path, item) in &routes.1.paths {
            for method in methods(item) {
                let codes = all_codes(&method, route.access, &route.codes);
                self.rows.push(RouteRow { method, path: path.clone(), access: route.access, codes });
            }
        }
        Self { router: self.router.routes(routes), ..self }
    }

    /// Adds the endpoints of another resource.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        Self { router: self.router.merge(other.router), ..self }
    }
}

fn methods(item: &PathItem) -> impl Iterator<Item = Method> {
    let operations = [
        (Method::GET, item.get.is_some()),
        (Method::POST, item.post.is_some()),
        (Method::PATCH, item.patch.is_some()),
        (Method::DELETE, item.delete.is_some()),
    ];
    operations.into_iter().filter(|(_, present)| *present).map(|(method, _)| method)
}

/// The declared codes and those that follow from the access, in the order of the error table.
fn all_codes(method: &Method, access: Access, declared: &[ErrorCode]) -> Vec<ErrorCode> {
    let mut codes = declared.to_vec();
    codes.extend([ErrorCode::HttpsRequired, ErrorCode::Internal, ErrorCode::Unavailable]);
    match access {
        Access::Probe => {}
        Access::Open | Access::Reporter | Access::Partner | Access::Local => {
            codes.push(ErrorCode::RateLimitExceeded);
        }
        Access::AnyKey | Access::Scope(_) => codes.extend([
            ErrorCode::MissingApiKey,
            ErrorCode::InvalidApiKey,
            ErrorCode::IpNotAllowed,
            ErrorCode::RateLimitExceeded,
            ErrorCode::QuotaExceeded,
        ]),
    }
    if matches!(access, Access::Scope(_)) {
        codes.push(ErrorCode::InsufficientScope);
    }
    if access.takes_idempotency_key(method) {
        codes.extend([
            ErrorCode::LimitReached,
            ErrorCode::IdempotencyKeyInUse,
            ErrorCode::IdempotencyResponseLost,
            ErrorCode::IdempotencyKeyReused,
        ]);
    }
    ErrorCode::ALL.iter().copied().filter(|code| codes.contains(code)).collect()
}
