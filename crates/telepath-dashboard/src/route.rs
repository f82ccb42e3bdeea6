//! Routes: each page declares its own, with what a user needs to reach it. The application checks that before a handler runs,
//! so no handler can forget it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use http::Method;
use matchit::Router;
use telepath_core::scope::Scope;
use telepath_store::SignedIn;

use crate::problem::Problem;
use crate::reply::Reply;
use crate::visit::Visit;

/// What a handler answers.
pub(crate) type Outcome = Result<Reply, Problem>;

type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A handler, by who may reach it.
pub(crate) enum Handler {
    /// Everybody, signed in or not.
    Open(Box<dyn Fn(Visit) -> Running + Send + Sync>),
    /// Users who are signed in, and whose role has the scope if there is one.
    User(Option<Scope>, Box<dyn Fn(Visit, SignedIn) -> Running + Send + Sync>),
}

/// A page or a form.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) handler: Handler,
    /// Whether users must have confirmed who they are in the last minutes.
    pub(crate) confirmed: bool,
}

impl Route {
    /// A page or form for everybody.
    pub(crate) fn open<F, R>(method: Method, path: &'static str, handler: F) -> Self
    where
        F: Fn(Visit) -> R + Send + Sync + 'static,
        R: Future<Output = Outcome> + Send + 'static,
    {
        let handler = Handler::Open(Box::new(move |visit| Box::pin(handler(visit))));
        Self { method, path, handler, confirmed: false }
    }

    /// A page or form for every user who is signed in.
    pub(crate) fn user<F, R>(method: Method, path: &'static str, handler: F) -> Self
    where
        F: Fn(Visit, SignedIn) -> R + Send + Sync + 'static,
        R: Future<Output = Outcome> + Send + 'static,
    {
        Self::of_user(method, path, None, handler)
    }

    /// A page or form for users whose role has a scope.
    pub(crate) fn scoped<F, R>(method: Method, path: &'static str, scope: Scope, handler: F) -> Self
    where
        F: Fn(Visit, SignedIn) -> R + Send + Sync + 'static,
        R: Future<Output = Outcome> + Send + 'static,
    {
        Self::of_user(method, path, Some(scope), handler)
    }

    fn of_user<F, R>(method: Method, path: &'static str, scope: Option<Scope>, handler: F) -> Self
    where
        F: Fn(Visit, SignedIn) -> R + Send + Sync + 'static,
        R: Future<Output = Outcome> + Send + 'static,
    {
        let handler = Handler::User(scope, Box::new(move |visit, caller| Box::pin(handler(visit, caller))));
        Self { method, path, handler, confirmed: false }
    }

    /// The same for users who have confirmed who they are in the last minutes.
    pub(crate) fn confirmed(self) -> Self {
        Self { confirmed: true, ..self }
    }
}

/// All routes.
pub(crate) struct RouteTable {
    paths: Router<usize>,
    /// The routes of each path.
    routes: Vec<BTreeMap<&'static str, Route>>,
}

/// Two routes have the same path and method, or their paths exclude each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("two pages have the route {0}")]
pub struct RouteConflict(String);

/// A path of the table, with its variable parts.
pub(crate) struct Found<'a> {
    pub(crate) routes: &'a BTreeMap<&'static str, Route>,
    pub(crate) params: Vec<(String, String)>,
}

impl RouteTable {
    pub(crate) fn new(list: Vec<Route>) -> Result<Self, RouteConflict> {
        let mut by_path: BTreeMap<&'static str, BTreeMap<&'static str, Route>> = BTreeMap::new();
        for route in list {
            let verb = verb(&route.method);
            let (path, conflict) = (route.path, RouteConflict(format!("{verb} {}", route.path)));
            if by_path.entry(path).or_default().insert(verb, route).is_some() {
                return Err(conflict);
            }
        }
        let mut table = Self { paths: Router::new(), routes: Vec::new() };
        for (path, routes) in by_path {
            let place = table.routes.len();
            table.paths.insert(path, place).map_err(|_| RouteConflict(path.to_owned()))?;
            table.routes.push(routes);
        }
        Ok(table)
    }

    /// Pattern and method of every route.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.routes.iter().flat_map(|routes| routes.iter().map(|(verb, route)| (route.path, *verb)))
    }

    /// The pattern that a path matches.
    pub(crate) fn pattern(&self, path: &str) -> Option<&'static str> {
        let place = *self.paths.at(path).ok()?.value;
        self.routes.get(place)?.values().next().map(|route| route.path)
    }

    /// The routes of a path.
    pub(crate) fn find(&self, path: &str) -> Option<Found<'_>> {
        let matched = self.paths.at(path).ok()?;
        let params = matched.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Some(Found { routes: self.routes.get(*matched.value)?, params })
    }
}

/// A method as the table names it; HEAD is GET without the body.
pub(crate) fn verb(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "GET",
        Method::POST => "POST",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn nothing(_: Visit) -> Outcome {
        Err(Problem::Forbidden)
    }

    #[test]
    fn routes_are_found_with_the_variable_parts_of_their_path() {
        let table = RouteTable::new(vec![
            Route::open(Method::GET, "/keys/{id}", nothing),
            Route::open(Method::POST, "/keys/{id}", nothing),
            Route::open(Method::GET, "/keys/new", nothing),
        ]);
        let table = table.ok().unwrap();
        let found = table.find("/keys/key_1").unwrap();
        assert_eq!(found.params, [("id".to_owned(), "key_1".to_owned())]);
        assert_eq!(found.routes.keys().copied().collect::<Vec<_>>(), ["GET", "POST"]);
        assert_eq!(table.find("/keys/new").unwrap().routes.len(), 1);
        assert!(table.find("/keys").is_none() && table.find("/keys/a/b").is_none());
    }

    #[test]
    fn two_handlers_of_one_route_are_a_conflict() {
        let list = vec![Route::open(Method::GET, "/a", nothing), Route::open(Method::GET, "/a", nothing)];
        assert_eq!(RouteTable::new(list).err(), Some(RouteConflict("GET /a".to_owned())));
    }
}
