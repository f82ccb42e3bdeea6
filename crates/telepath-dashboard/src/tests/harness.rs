//! A dashboard, and a browser that uses it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use telepath_core::account::{Account, AccountDraft, Actor};
use telepath_core::audit::Origin;
use telepath_core::call::{DisconnectReason, SipStrangers};
use telepath_core::clock::{Clock, ManualClock, Timestamp};
use telepath_core::entropy::{Entropy, SystemEntropy};
use telepath_core::id::{AccountId, CallId, TrunkId};
use telepath_core::ports::LiveCalls;
use telepath_core::secret::{KeyMode, SecretText};
use telepath_core::user::{Role, TotpSecret, User, UserName};
use telepath_core::vault::{MasterKey, Vault};
use telepath_http::{App as _, ClientScheme, Peer};
use telepath_store::{Database, NewUser, Store, StoreContext, StoreOptions};

use super::place::Place;
use crate::app::Dashboard;
use crate::form::encoded;
use crate::live::LiveStreams;
use crate::options::{DashboardOptions, PublicUrl, Services};
use crate::page_body::PageBody;

pub(super) const NAME: &str = "voice.example";
pub(super) const PASSWORD: &str = "seven grey herons dance";
pub(super) const CLIENT: &str = "203.0.113.7";
const START: i64 = 1_800_000_000;

/// Live calls that are only counted: those that were hung up, and the trunks whose calls were.
#[derive(Default)]
pub(super) struct Live(pub(super) Mutex<Vec<CallId>>, pub(super) Mutex<Vec<TrunkId>>);

impl LiveCalls for Live {
    fn is_live(&self, _: CallId) -> bool {
        true
    }

    fn hang_up(&self, call: CallId, _: DisconnectReason) -> bool {
        self.0.lock().unwrap().push(call);
        true
    }

    fn hang_up_trunk(&self, trunk: TrunkId, _: DisconnectReason) -> usize {
        self.1.lock().unwrap().push(trunk);
        0
    }

    fn sip_strangers(&self) -> SipStrangers {
        SipStrangers::default()
    }
}

/// A dashboard over a fresh store.
pub(super) struct Site {
    pub(super) dashboard: Arc<Dashboard>,
    pub(super) store: Arc<Store>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) account: Account,
    pub(super) live: Arc<Live>,
    _place: Place,
}

impl Site {
    pub(super) async fn new() -> Self {
        Self::with(super::letters::without_mail()).await
    }

    /// A dashboard with parts of the program behind it.
    pub(super) async fn with(services: Services) -> Self {
        let place = Place::of_this_run();
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_seconds(START)));
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
        let vault = Vault::new(&MasterKey::generate(entropy.as_ref()).unwrap()).unwrap();
        let context = StoreContext {
            vault: Arc::new(vault),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy: Arc::clone(&entropy),
        };
        let database = place.database();
        if matches!(database, Database::Postgres { .. }) {
            Store::migrate(&database).await.unwrap();
        }
        let options = StoreOptions::new(database);
        let store = Store::open(options, context).await.unwrap();
        let account = store.ensure_account("Example Voice", KeyMode::Live, local(clock.now())).await.unwrap();
        let options = DashboardOptions {
            public_url: Some(PublicUrl::parse("https://voice.example").unwrap()),
            names: Vec::new(),
            address: IpAddr::from([192, 0, 2, 1]),
            account: account.id,
            url: "https://voice.example".to_owned(),
            sip_host: "sip.voice.example".to_owned(),
            calls_kept: None,
        };
        let live = Arc::new(Live::default());
        let calls = Arc::clone(&live) as Arc<dyn LiveCalls>;
        let dashboard = Dashboard::new(options, services, calls, Arc::clone(&store)).unwrap();
        Self { dashboard, store, clock, account, live, _place: place }
    }

    pub(super) fn streams(&self) -> &LiveStreams {
        self.dashboard.streams()
    }

    /// One more account.
    pub(super) async fn other_account(&self, name: &str) -> AccountId {
        let draft = AccountDraft { name: Some(name.to_owned()), ..AccountDraft::default() };
        self.store.create_account(draft.check().unwrap(), self.origin()).await.unwrap().id
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn origin(&self) -> Origin {
        local(self.clock.now())
    }

    /// A user with [`PASSWORD`].
    pub(super) async fn user(&self, email: &str, role: Role) -> User {
        self.user_of(self.account.id, email, role).await
    }

    /// The same in another account.
    pub(super) async fn user_of(&self, account: AccountId, email: &str, role: Role) -> User {
        let new = NewUser { email: email.parse().unwrap(), name: UserName::check("Ada").unwrap(), role };
        let made = self.store.create_user(account, new, self.origin()).await.unwrap();
        let password = SecretText::new(PASSWORD.to_owned());
        self.store.use_password_link(&made.link, password, self.origin()).await.unwrap()
    }

    /// Gives a user a second factor.
    pub(super) async fn second_factor(&self, user: &User) -> TotpSecret {
        let mut browser = Browser::new(self);
        browser.sign_in(user.email.as_str()).await;
        let origin = Origin { actor: Actor::User(user.id), ..self.origin() };
        let enrolment = self.store.enrol_totp(user.id, "Telepath", origin).await.unwrap();
        let secret = TotpSecret::parse(&enrolment.secret).unwrap();
        let session = self.store.list_sessions(user.id).await.unwrap()[0].id;
        let code = secret.code_at(self.clock.now());
        self.store.confirm_totp(session, &code, origin).await.unwrap();
        // A code is accepted once, so the next one belongs to a later time step.
        self.clock.advance(std::time::Duration::from_mins(1));
        secret
    }

    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Response<PageBody> {
        self.dashboard.handle(request, Peer::Remote(CLIENT.parse().unwrap())).await
    }
}

fn local(at: Timestamp) -> Origin {
    Origin { actor: Actor::Local { uid: Some(0) }, address: None, at, idempotency: None }
}

/// A whole response.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Page {
    pub(super) async fn of(response: Response<PageBody>) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Self {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    pub(super) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{:?}\n{}", self.headers, self.text);
        self
    }

    /// Where a redirect leads.
    pub(super) fn leads_to(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text);
        self.headers[LOCATION].to_str().unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The value of the first attribute that follows a text.
    pub(super) fn after(&self, text: &str) -> &str {
        let (_, rest) = self.text.split_once(text).unwrap_or_else(|| panic!("no {text} in {}", self.text));
        rest.split('"').next().unwrap()
    }
}

/// A browser: it keeps cookies, and sends the headers that browsers send.
pub(super) struct Browser<'a> {
    site: &'a Site,
    pub(super) cookies: BTreeMap<String, String>,
    form_token: String,
}

impl<'a> Browser<'a> {
    pub(super) fn new(site: &'a Site) -> Self {
        Self { site, cookies: BTreeMap::new(), form_token: String::new() }
    }

    /// The head of a request of this browser.
    pub(super) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::builder().method(method).uri(path).header(HOST, NAME);
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        request.extension(ClientScheme::Https)
    }

    pub(super) async fn get(&mut self, path: &str) -> Page {
        let request = self.request("GET", path).header("sec-fetch-site", "none");
        self.take(request.body(Full::default()).unwrap()).await
    }

    /// Sends a form of the page that was loaded last.
    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.post_with(path, fields, "sec-fetch-site", "same-origin").await
    }

    pub(super) async fn post_with(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        header: &'static str,
        value: &str,
    ) -> Page {
        let token = (!self.form_token.is_empty()).then_some(("form_token", self.form_token.as_str()));
        let fields = fields.iter().copied().chain(token);
        let body: Vec<String> =
            fields.map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let request = self
            .request("POST", path)
            .header(HeaderName::from_static(header), value)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.take(request.body(Full::from(body.join("&"))).unwrap()).await
    }

    async fn take(&mut self, request: Request<Full<Bytes>>) -> Page {
        let page = Page::of(self.site.send(request).await).await;
        for cookie in page.headers.get_all(SET_COOKIE) {
            let (pair, attributes) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        if page.text.contains("name=\"form_token\"") {
            page.after("name=\"form_token\" value=\"").clone_into(&mut self.form_token);
        }
        page
    }

    /// Gives the password.
    pub(super) async fn sign_in(&mut self, email: &str) -> Page {
        self.post("/login", &[("email", email), ("password", PASSWORD)]).await
    }

    /// A browser of a user who is signed in, with a page open.
    pub(super) async fn of(site: &'a Site, email: &str) -> Self {
        let mut browser = Self::new(site);
        assert_eq!(browser.sign_in(email).await.leads_to(), "/");
        browser.get("/me").await.expect(200);
        browser
    }
}
