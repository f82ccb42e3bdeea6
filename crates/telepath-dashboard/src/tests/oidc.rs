//! Signing in and confirming at an identity provider, as far as this server decides it. The protocol with a real provider is
//! tested with the whole program.

use std::sync::{Arc, Mutex};

use http::StatusCode;
use telepath_core::clock::Timestamp;
use telepath_core::ports::{IdentityProvider, PortFuture};
use telepath_core::user::{
    ExternalIdentity, GroupRoles, IdentityError, IdentityRequest, IdentityResponse, Role,
};

use crate::options::Services;

use super::harness::{Browser, Page, Site};

/// A provider that knows whom it was told of, and what it was asked.
#[derive(Debug, Default)]
struct Known {
    roles: GroupRoles,
    next: Mutex<Option<Result<ExternalIdentity, IdentityError>>>,
    asked: Mutex<Vec<(String, bool)>>,
}

impl IdentityProvider for Known {
    fn name(&self) -> &'static str {
        "Example login"
    }

    fn group_roles(&self) -> &GroupRoles {
        &self.roles
    }

    fn authorization_url<'a>(
        &'a self,
        request: &'a IdentityRequest,
    ) -> PortFuture<'a, Result<String, IdentityError>> {
        self.asked.lock().unwrap().push((request.redirect_uri.clone(), request.fresh));
        let url = format!("https://login.example.com/auth?state={}", request.state.expose());
        Box::pin(async move { Ok(url) })
    }

    fn identify<'a>(
        &'a self,
        _request: &'a IdentityRequest,
        response: &'a IdentityResponse,
    ) -> PortFuture<'a, Result<ExternalIdentity, IdentityError>> {
        assert_eq!(response.code.expose(), "a-code");
        let next = self.next.lock().unwrap().take().expect("somebody is there");
        Box::pin(async move { next })
    }
}

fn grace(authenticated_at: Option<Timestamp>) -> ExternalIdentity {
    ExternalIdentity {
        issuer: "https://login.example.com".to_owned(),
        subject: "grace".to_owned(),
        verified_email: Some("grace@example.com".parse().unwrap()),
        name: None,
        groups: vec!["voice".to_owned()],
        authenticated_at,
    }
}

async fn site() -> (Site, Arc<Known>) {
    let roles = GroupRoles { roles: vec![("voice".to_owned(), Role::Admin)], otherwise: None };
    let provider = Arc::new(Known { roles, ..Known::default() });
    let site = {
        let identity_provider = Some(Arc::clone(&provider) as Arc<dyn IdentityProvider>);
        Site::with(Services { identity_provider, ..super::letters::without_mail() }).await
    };
    (site, provider)
}

/// The way to the provider and back.
async fn round(
    browser: &mut Browser<'_>,
    provider: &Known,
    path: &str,
    who: Result<ExternalIdentity, IdentityError>,
) -> Page {
    *provider.next.lock().unwrap() = Some(who);
    let there = browser.get(path).await;
    let state = there.leads_to().rsplit('=').next().unwrap().to_owned();
    browser.get(&format!("/login/oidc/callback?code=a-code&state={state}")).await
}

#[tokio::test]
async fn a_user_of_the_provider_signs_in_and_goes_where_they_wanted_to() {
    let (site, provider) = site().await;
    let mut browser = Browser::new(&site);
    let page = browser.get("/login?next=%2Fme%3Fx%3D1").await.expect(200);
    assert!(page.text.contains("Sign in with Example login"));
    let link = page.after("class=\"btn btn-wide\" href=\"").replace("&#38;", "&");
    let back = round(&mut browser, &provider, &link, Ok(grace(None))).await;
    assert_eq!(back.leads_to(), "/me?x=1");
    let page = browser.get("/me").await.expect(200);
    assert!(page.text.contains("grace@example.com"));
    assert!(!browser.cookies.contains_key("__Host-telepath_provider"), "what is done is forgotten");
    let asked = provider.asked.lock().unwrap().clone();
    assert_eq!(asked, [("https://voice.example/login/oidc/callback".to_owned(), false)]);
}

#[tokio::test]
async fn a_code_is_used_only_in_the_browser_that_asked_for_it() {
    let (site, provider) = site().await;
    let (mut victim, mut attacker) = (Browser::new(&site), Browser::new(&site));
    let there = attacker.get("/login/oidc").await;
    let state = there.leads_to().rsplit('=').next().unwrap().to_owned();
    let path = format!("/login/oidc/callback?code=a-code&state={state}");
    victim.get(&path).await.expect(400);
    victim.get("/login/oidc").await;
    victim.get(&path).await.expect(400);
    // Nobody was asked about: the provider would have panicked.
    for wrong in ["?code=a-code", "?state=x&code=a-code", "?code=a-code&state="] {
        attacker.get("/login/oidc").await;
        attacker.get(&format!("/login/oidc/callback{wrong}")).await.expect(400);
    }
    let page = round(&mut attacker, &provider, "/login/oidc?next=//evil.example", Ok(grace(None))).await;
    assert_eq!(page.leads_to(), "/");
}

#[tokio::test]
async fn refusals_are_explained_and_start_no_session() {
    let (site, provider) = site().await;
    let mut browser = Browser::new(&site);
    let nobody = ExternalIdentity { groups: Vec::new(), ..grace(None) };
    let unknown = ExternalIdentity { verified_email: None, ..grace(None) };
    let down = IdentityError::Unavailable("secret detail".to_owned());
    let forged = IdentityError::Refused("secret detail".to_owned());
    for (who, status, text) in [
        (Ok(nobody), 403, "gives you no access here"),
        (Ok(unknown), 403, "has not verified your email address"),
        (Err(down), 503, "cannot be used now"),
        (Err(forged), 403, "was not accepted"),
    ] {
        let page = round(&mut browser, &provider, "/login/oidc", who).await.expect(status);
        assert!(page.text.contains(text) && !page.text.contains("secret detail"), "{}", page.text);
        assert!(!browser.cookies.contains_key("__Host-telepath"));
    }
    let there = browser.get("/login/oidc").await;
    let state = there.leads_to().rsplit('=').next().unwrap().to_owned();
    let path = format!("/login/oidc/callback?error=access_denied%3Cb%3E&state={state}");
    let page = browser.get(&path).await.expect(403);
    assert!(page.text.contains("access_denied&#60;b&#62;"), "{}", page.text);
}

#[tokio::test]
async fn a_user_without_a_password_confirms_at_the_provider() {
    let (site, provider) = site().await;
    let mut browser = Browser::new(&site);
    round(&mut browser, &provider, "/login/oidc", Ok(grace(None))).await;
    site.clock.advance(std::time::Duration::from_mins(11));
    let page = browser.get("/confirm?next=%2Fme").await.expect(200);
    assert!(!page.text.contains("name=\"password\""), "a password that is not set cannot be asked for");
    let link = page.after("class=\"btn btn-primary\" href=\"").replace("&#38;", "&");
    let before = browser.cookies["__Host-telepath"].clone();
    let stale = Some(Timestamp::from_unix_seconds(site.now().unix_seconds() - 301));
    for old in [None, stale] {
        let page = round(&mut browser, &provider, &link, Ok(grace(old))).await.expect(409);
        assert!(page.text.contains("did not ask you again"));
    }
    let other = ExternalIdentity { subject: "ada".to_owned(), ..grace(Some(site.now())) };
    let page = round(&mut browser, &provider, &link, Ok(other)).await.expect(409);
    assert!(page.text.contains("somebody else"));
    assert_eq!(browser.cookies["__Host-telepath"], before);
    let back = round(&mut browser, &provider, &link, Ok(grace(Some(site.now())))).await;
    assert_eq!((back.status, back.leads_to()), (StatusCode::SEE_OTHER, "/me"));
    assert_ne!(browser.cookies["__Host-telepath"], before, "the session has a new token");
    assert!(provider.asked.lock().unwrap().last().unwrap().1, "the provider was told to ask again");
}

#[tokio::test]
async fn without_a_provider_there_is_no_such_page() {
    let site = Site::new().await;
    let mut browser = Browser::new(&site);
    browser.get("/login/oidc").await.expect(404);
    browser.get("/login/oidc/callback?code=a&state=b").await.expect(404);
    assert!(!browser.get("/login").await.expect(200).text.contains("/login/oidc"));
}
