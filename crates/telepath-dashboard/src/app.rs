//! The application: the life of a request, from `Host` to the headers of the response.

mod body;
mod finish;
mod metrics;
mod sign_in;
mod streams;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use telepath_core::clock::Timestamp;
use telepath_core::entropy::{EntropyError, random_bytes};
use telepath_core::id::RequestId;
use telepath_core::ports::LiveCalls;
use telepath_core::user::{SessionStatus, UserToken};
use telepath_http::{App, BoxError, ClientScheme, Peer, REQUEST_ID, RequestIds, Unreadable};
use telepath_store::{SignedIn, Store};

use self::sign_in::{shown_at, sign_in_first};
use crate::assets::{self, Assets};
use crate::chain_checks::Checks;
use crate::drafts::Drafts;
use crate::form::Fields;
use crate::held::{HeldForm, HeldForms};
use crate::host::{self, AllowedHosts};
use crate::live::LiveStreams;
use crate::metrics::PageMetrics;
use crate::navigation::Navigation;
use crate::options::{DashboardOptions, PublicUrl, Services};
use crate::page_body::PageBody;
use crate::problem::Problem;
use crate::reply::{Content, Reply};
use crate::route::{Found, Handler, Outcome, Route, RouteConflict, RouteTable, verb};
use crate::shared::Shared;
use crate::step_up::confirm_first;
use crate::time::Zone;
use crate::visit::Visit;
use crate::{cookie, csrf, error_page, form, letters, pages};

/// How long a handler may take.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the use of a session is recorded.
const SEEN_EVERY: Duration = Duration::from_mins(1);
/// The header of a page's script that replaces a part of the page.
const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");
/// Where that page is open.
const HX_CURRENT_URL: HeaderName = HeaderName::from_static("hx-current-url");
/// The header of a page that opens its stream again (HTML standard, section 9.2.4).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const LONGEST_EVENT_ID: usize = 256;
/// Bytes of a nonce.
const NONCE: usize = 18;

/// The dashboard cannot be assembled.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The system gave no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// Two pages have the same route.
    #[error(transparent)]
    Routes(#[from] RouteConflict),
}

/// The dashboard.
pub struct Dashboard {
    shared: Arc<Shared>,
    routes: RouteTable,
    request_ids: RequestIds,
    metrics: Arc<PageMetrics>,
}

impl std::fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dashboard").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

impl Dashboard {
    /// Assembles the dashboard.
    pub fn new(
        options: DashboardOptions,
        services: Services,
        live: Arc<dyn LiveCalls>,
        store: Arc<Store>,
    ) -> Result<Arc<Self>, SetupError> {
        let request_ids = RequestIds::new(store.entropy().as_ref())?;
        let shared = Arc::new(Shared {
            hosts: AllowedHosts::new(&options),
            options,
            destinations: services.destinations,
            agents: services.agents,
            mail: services.mail,
            identity_provider: services.identity_provider,
            server: services.server,
            letters: letters::permits(),
            live,
            store,
            assets: Assets::new(),
            navigation: Navigation::new(pages::navigation()),
            held: HeldForms::default(),
            drafts: Drafts::default(),
            streams: LiveStreams::default(),
            checks: Checks::default(),
        });
        let routes = RouteTable::new(pages::routes())?;
        let metrics = Arc::new(PageMetrics::new(routes.labels()));
        Ok(Arc::new(Self { shared, routes, request_ids, metrics }))
    }

    async fn respond<B>(
        &self,
        head: &Parts,
        body: B,
        peer: Peer,
        (id, now): (RequestId, Timestamp),
    ) -> Response<PageBody>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        if let Some(file) = self.shared.assets.serve(head.uri.path(), &head.headers)
            && matches!(head.method, Method::GET | Method::HEAD)
        {
            return finish::file(file);
        }
        let mut visit = match self.visit(head, peer, id, now) {
            Ok(visit) => visit,
            Err(error) => return finish::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        };
        let outcome = self.answer(head, body, &mut visit).await;
        let reply = match outcome {
            Ok(reply) => reply,
            Err(problem) => self.refuse(&visit, &problem).await,
        };
        finish::page(reply, &head.headers, &visit.nonce)
    }

    /// What is known before anything is read.
    fn visit(&self, head: &Parts, peer: Peer, id: RequestId, now: Timestamp) -> Result<Visit, EntropyError> {
        let authority = host::authority_of(head).unwrap_or_default();
        let public = self.public_url_for(&authority);
        let is_encrypted = head.extensions.get::<ClientScheme>() != Some(&ClientScheme::LoopbackHttp);
        let https = is_encrypted || public.is_some();
        let text = |name: HeaderName| {
            let value = head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        Ok(Visit {
            shared: Arc::clone(&self.shared),
            id,
            now,
            client: match peer {
                Peer::Remote(address) => address,
                Peer::Local { .. } => IpAddr::from([127, 0, 0, 1]),
            },
            https,
            origin: host::origin_of(&authority, https),
            user_agent: text(USER_AGENT),
            path: head.uri.path().to_owned(),
            params: Vec::new(),
            query: Fields::parse(head.uri.query().unwrap_or_default()),
            form: Fields::default(),
            session: None,
            browser_zone: cookie::zone(&head.headers).map(|name| Zone::named(&name)),
            setup_code: cookie::setup_code(&head.headers, https),
            provider_cookie: cookie::provider(&head.headers, https),
            shown_at: head.headers.contains_key(HX_REQUEST).then(|| shown_at(&text(HX_CURRENT_URL))),
            last_event_id: Some(text(LAST_EVENT_ID))
                .filter(|id| !id.is_empty() && id.len() <= LONGEST_EVENT_ID),
            nonce: nonce(&random_bytes::<NONCE>(self.shared.store.entropy().as_ref())?),
        })
    }

    /// The public URL, if the browser uses its host.
    fn public_url_for(&self, authority: &str) -> Option<&PublicUrl> {
        let public = self.shared.options.public_url.as_ref()?;
        (public.host() == host::without_port(authority)).then_some(public)
    }

    async fn answer<B>(&self, head: &Parts, body: B, visit: &mut Visit) -> Outcome
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let authority = host::authority_of(head).unwrap_or_default();
        if !self.shared.hosts.allows(&host::without_port(&authority)) {
            return Err(Problem::Misdirected);
        }
        if head.method == Method::POST {
            let public = self.public_url_for(&authority).map(ToString::to_string);
            let is_same = |origin: &str| csrf::is_same_origin(&head.headers, origin);
            if !is_same(&visit.origin) && !public.is_some_and(|origin| is_same(&origin)) {
                return Err(Problem::ForeignForm);
            }
        }
        visit.session = self.session(&head.headers, visit).await?;
        let found = self.routes.find(&visit.path).ok_or(Problem::NotFound("This page does not exist"))?;
        let route = route_for(&found, &head.method)?;
        visit.params.clone_from(&found.params);
        if head.method == Method::POST {
            visit.form = body::form(&head.headers, body).await?;
        }
        let target = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let reply = self.run(route, visit, &target).await?;
        match reply.content {
            Content::Resume { form, token } => self.resume(form, &token, reply.cookies, visit).await,
            Content::Live(live) => self.open(live, route, head, visit),
            Content::Download(file) => self.download(file, route, head, visit),
            Content::Page(_)
            | Content::Redirect(_)
            | Content::Leave(_)
            | Content::Plain(_)
            | Content::File(_)
            | Content::Events(_)
            | Content::Parts { .. } => Ok(reply),
        }
    }

    /// Runs a handler if the user may reach it; otherwise leads them to where they prove who they are.
    async fn run(&self, route: &Route, visit: &mut Visit, target: &str) -> Outcome {
        let is_form = route.method == Method::POST;
        let running = match &route.handler {
            Handler::Open(handler) => handler(visit.take()),
            Handler::User(scope, handler) => {
                let Some(caller) = visit.session.clone() else {
                    return Ok(sign_in_first(visit, if is_form { "/" } else { target }));
                };
                if caller.session.status(visit.now) != SessionStatus::Active {
                    return Ok(Reply::see_other("/login/code"));
                }
                if scope.is_some_and(|scope| !caller.role.scopes().allows(scope)) {
                    return Err(Problem::Forbidden);
                }
                let vault = self.shared.store.vault();
                if is_form && !csrf::matches(visit.form.text(csrf::FIELD), caller.session.id, vault) {
                    return Err(Problem::ForeignForm);
                }
                if route.confirmed && !caller.session.is_confirmed(visit.now) {
                    return if is_form {
                        confirm_first(visit, &caller, target)
                    } else {
                        Ok(Reply::see_other(format!("/confirm?next={}", form::encoded(target))))
                    };
                }
                handler(visit.take(), caller)
            }
        };
        match tokio::time::timeout(HANDLER_TIMEOUT, running).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Problem::Unavailable("the handler timed out".to_owned())),
        }
    }

    /// Runs the form that waited for a confirmation.
    async fn resume(
        &self,
        form: HeldForm,
        token: &UserToken,
        cookies: Vec<HeaderValue>,
        visit: &mut Visit,
    ) -> Outcome {
        visit.session = self.shared.store.find_session(token).await?;
        let (path, query) = form.path.split_once('?').unwrap_or((&form.path, ""));
        path.clone_into(&mut visit.path);
        visit.query = Fields::parse(query);
        visit.form = form.fields.clone();
        let found = self.routes.find(path).ok_or(Problem::NotFound("This page does not exist"))?;
        visit.params.clone_from(&found.params);
        let route = route_for(&found, &Method::POST)?;
        let target = form.path.clone();
        // The confirmation counts although the form is refused.
        let reply = match self.run(route, visit, &target).await {
            Ok(reply) => reply,
            Err(problem) => self.refuse(visit, &problem).await,
        };
        Ok(cookies.into_iter().fold(reply, |reply, cookie| reply.cookie(Some(cookie))))
    }

    /// The session of the cookie. Its use is recorded once a minute.
    async fn session(&self, headers: &HeaderMap, visit: &Visit) -> Result<Option<SignedIn>, Problem> {
        let Some(token) = cookie::session_token(headers, visit.https) else { return Ok(None) };
        let mut found = self.shared.store.find_session(&token).await?;
        if let Some(SignedIn { session, .. }) = &mut found
            && visit.now.since(session.last_seen_at) >= SEEN_EVERY
        {
            self.shared.store.touch_session(session.id, Some(visit.client)).await?;
            session.last_seen_at = visit.now;
        }
        Ok(found)
    }

    async fn refuse(&self, visit: &Visit, problem: &Problem) -> Reply {
        if let Some(cause) = problem.cause() {
            tracing::error!(request_id = %visit.id, cause, "a page failed");
        }
        match error_page::render(visit, problem).await {
            Ok(reply) => reply,
            Err(next) => {
                tracing::error!(request_id = %visit.id, cause = next.cause(), "an error page failed");
                let text = format!("{}\n{}\n", problem.heading(), problem.explanation());
                Reply::plain(problem.status(), text)
            }
        }
    }

    fn next_id(&self) -> RequestId {
        self.request_ids.next(self.shared.store.clock().now())
    }
}

fn stamp(mut response: Response<PageBody>, id: RequestId) -> Response<PageBody> {
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn route_for<'a>(found: &Found<'a>, method: &Method) -> Result<&'a Route, Problem> {
    found.routes.get(verb(method)).ok_or_else(|| {
        let allowed = found.routes.keys().copied().collect::<Vec<_>>();
        Problem::MethodNotAllowed(match allowed.as_slice() {
            ["POST"] => "POST",
            ["GET"] => "GET, HEAD",
            _ => "GET, HEAD, POST",
        })
    })
}

fn nonce(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

impl App for Dashboard {
    type Body = PageBody;

    async fn handle<B>(&self, request: Request<B>, peer: Peer) -> Response<PageBody>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let (started, now) = (Instant::now(), self.shared.store.clock().now());
        let id = self.request_ids.next(now);
        let (head, body) = request.into_parts();
        let response = self.respond(&head, body, peer, (id, now)).await;
        let response = if head.method == Method::HEAD { finish::without_body(response) } else { response };
        self.count(&head, response.status().as_u16(), started.elapsed());
        tracing::debug!(
            request_id = %id,
            method = verb(&head.method),
            status = response.status().as_u16(),
            took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            "page"
        );
        stamp(response, id)
    }

    /// Every path of a page or an asset; and every other path if the client shows HTML, so that a browser gets a page that
    /// says what is wrong. A request with an API key is never for a page.
    fn serves(&self, path: &str, headers: &HeaderMap) -> bool {
        if headers.contains_key(AUTHORIZATION) {
            return false;
        }
        let shows_html = || {
            let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
            accepted.any(|accept| accept.contains("text/html"))
        };
        path.starts_with(assets::PREFIX) || self.routes.find(path).is_some() || shows_html()
    }

    fn refuse_plain_http(&self, _head: &Parts, _client: IpAddr) -> Response<PageBody> {
        let text = "HTTPS is required. Open this address with https:// instead of http://.\n";
        stamp(finish::text(StatusCode::BAD_REQUEST, text.to_owned()), self.next_id())
    }

    fn refuse_unreadable(&self, _problem: Unreadable, _peer: Peer) -> Response<PageBody> {
        let text = "The request is not well-formed HTTP.\n".to_owned();
        stamp(finish::text(StatusCode::BAD_REQUEST, text), self.next_id())
    }
}
