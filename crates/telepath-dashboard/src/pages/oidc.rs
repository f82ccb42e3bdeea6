//! `/login/oidc`: signing in, and confirming who one is, at an OpenID Connect provider.
//!
//! The way there and back is bound to the browser by a cookie. A code that somebody else asked for, or that belongs to another
//! browser, is never used.

use std::time::Duration;

use http::{Method, StatusCode};
use subtle::ConstantTimeEq as _;
use telepath_core::account::Actor;
use telepath_core::audit::Origin;
use telepath_core::entropy::EntropyError;
use telepath_core::ports::IdentityProvider;
use telepath_core::secret::SecretText;
use telepath_core::user::{
    ExternalIdentity, IdentityError, IdentityRequest, IdentityResponse, SessionStatus, UserToken,
};
use telepath_store::UserError;

use super::{confirm, login, session};
use crate::cookie;
use crate::form::{Fields, encoded};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::visit::{Visit, is_local_path};

/// Where the provider leads back to.
const CALLBACK: &str = "/login/oidc/callback";
/// How long ago a user may have proved who they are when that confirms something.
const FRESH: Duration = Duration::from_mins(5);
/// The most characters of a code; RFC 6749 sets no limit.
const LONGEST_CODE: usize = 4096;

pub(crate) fn routes() -> Vec<Route> {
    vec![Route::open(Method::GET, "/login/oidc", go), Route::open(Method::GET, CALLBACK, come_back)]
}

/// What a way to the provider is bound to and for, as it stands in the cookie.
struct Trip {
    state: String,
    nonce: String,
    verifier: String,
    purpose: Purpose,
    next: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Purpose {
    SignIn,
    /// The form that waits; empty if none does.
    Confirm(String),
}

impl Trip {
    fn new(visit: &Visit) -> Result<Self, EntropyError> {
        let text =
            || UserToken::generate(visit.store().entropy().as_ref()).map(|text| text.expose().to_owned());
        let held = visit.query.get("held").unwrap_or_default().to_owned();
        let purpose =
            if visit.query.is_checked("confirm") { Purpose::Confirm(held) } else { Purpose::SignIn };
        Ok(Self { state: text()?, nonce: text()?, verifier: text()?, purpose, next: visit.next_path() })
    }

    fn to_cookie(&self) -> String {
        let (kind, held) = match &self.purpose {
            Purpose::SignIn => ("s", ""),
            Purpose::Confirm(held) => ("c", held.as_str()),
        };
        let next = encoded(self.next.as_deref().unwrap_or_default());
        [&self.state, &self.nonce, &self.verifier, kind, &encoded(held), &next].join("~")
    }

    fn of_cookie(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('~').collect();
        let [state, nonce, verifier, kind, held, next] = parts.as_slice() else { return None };
        let plain = |text: &str| Fields::parse(&format!("x={text}")).text("x").to_owned();
        let purpose = match *kind {
            "s" => Purpose::SignIn,
            "c" => Purpose::Confirm(plain(held)),
            _ => return None,
        };
        let secret = |text: &str| UserToken::parse(text).ok().map(|_| text.to_owned());
        let next = Some(plain(next)).filter(|next| is_local_path(next));
        Some(Self {
            state: secret(state)?,
            nonce: secret(nonce)?,
            verifier: secret(verifier)?,
            purpose,
            next,
        })
    }

    fn request(&self, visit: &Visit) -> IdentityRequest {
        let secret = |text: &String| SecretText::new(text.clone());
        let public = visit.shared.options.public_url.as_ref().map(ToString::to_string);
        IdentityRequest {
            state: secret(&self.state),
            nonce: secret(&self.nonce),
            verifier: secret(&self.verifier),
            redirect_uri: format!("{}{CALLBACK}", public.unwrap_or_else(|| visit.origin.clone())),
            fresh: matches!(self.purpose, Purpose::Confirm(_)),
        }
    }
}

fn provider(visit: &Visit) -> Result<&dyn IdentityProvider, Problem> {
    visit.shared.identity_provider.as_deref().ok_or(Problem::NotFound("This page does not exist"))
}

/// Leads to the provider.
async fn go(visit: Visit) -> Outcome {
    let provider = provider(&visit)?;
    let trip = Trip::new(&visit)?;
    match provider.authorization_url(&trip.request(&visit)).await {
        Ok(url) => Ok(Reply::elsewhere(url).cookie(cookie::set_provider(&trip.to_cookie(), visit.https))),
        Err(error) => failed(&visit, provider.name(), &error),
    }
}

/// The browser is back.
async fn come_back(visit: Visit) -> Outcome {
    let provider = provider(&visit)?;
    let cleared = cookie::clear_provider(visit.https);
    let reply = match trip_of(&visit) {
        Ok(trip) => finish(&visit, provider, trip).await?,
        Err(Returned::Refused(code)) => {
            let text = format!("{} did not sign you in ({code}).", provider.name());
            refused(&visit, text, StatusCode::FORBIDDEN)?
        }
        Err(Returned::Unknown) => {
            let text = "This sign-in was not begun in this browser, or took too long. Begin it again.";
            refused(&visit, text.to_owned(), StatusCode::BAD_REQUEST)?
        }
    };
    Ok(reply.cookie(cleared))
}

enum Returned {
    /// With the code of an error.
    Refused(String),
    Unknown,
}

/// The trip that ends here. Its state is compared before anything else that came with the browser is looked at.
fn trip_of(visit: &Visit) -> Result<Trip, Returned> {
    let trip = visit.provider_cookie.as_deref().and_then(Trip::of_cookie).ok_or(Returned::Unknown)?;
    let state = visit.query.text("state");
    if !bool::from(state.as_bytes().ct_eq(trip.state.as_bytes())) {
        return Err(Returned::Unknown);
    }
    if let Some(error) = visit.query.get("error") {
        return Err(Returned::Refused(error.chars().filter(char::is_ascii_graphic).take(40).collect()));
    }
    let length = visit.query.text("code").len();
    if (1..=LONGEST_CODE).contains(&length) { Ok(trip) } else { Err(Returned::Unknown) }
}

async fn finish(visit: &Visit, provider: &dyn IdentityProvider, trip: Trip) -> Outcome {
    let response = IdentityResponse {
        code: SecretText::new(visit.query.text("code").to_owned()),
        issuer: visit.query.get("iss").map(str::to_owned),
    };
    let identity = match provider.identify(&trip.request(visit), &response).await {
        Ok(identity) => identity,
        Err(error) => return failed(visit, provider.name(), &error),
    };
    match trip.purpose {
        Purpose::SignIn => sign_in(visit, provider, identity, trip.next).await,
        Purpose::Confirm(held) => confirm_with(visit, provider.name(), &identity, &held, trip.next).await,
    }
}

async fn sign_in(
    visit: &Visit,
    provider: &dyn IdentityProvider,
    identity: ExternalIdentity,
    next: Option<String>,
) -> Outcome {
    let (account, name) = (visit.shared.options.account, provider.name());
    let mapping = provider.group_roles().clone();
    let signed =
        visit.store().sign_in_with_identity(account, identity, mapping, visit.change_by_nobody()).await;
    let text = match signed {
        Ok(user) => {
            return session::start(visit, &user, false, &next.unwrap_or_else(|| "/".to_owned())).await;
        }
        Err(UserError::NoMembership) => {
            format!("{name} knows you, but gives you no access here. Ask an owner of the account.")
        }
        Err(UserError::UnverifiedEmail) => {
            format!("{name} has not verified your email address, so nobody here can be recognized by it.")
        }
        Err(UserError::Disabled) => {
            "You may not sign in here any more. Ask an owner of the account.".to_owned()
        }
        Err(error) => return Err(error.into()),
    };
    refused(visit, text, StatusCode::FORBIDDEN)
}

async fn confirm_with(
    visit: &Visit,
    name: &str,
    identity: &ExternalIdentity,
    held: &str,
    next: Option<String>,
) -> Outcome {
    let Some(caller) =
        visit.session.as_ref().filter(|found| found.session.status(visit.now) == SessionStatus::Active)
    else {
        return Ok(Reply::see_other("/login"));
    };
    let is_fresh = |at: telepath_core::clock::Timestamp| visit.now.since(at) <= FRESH;
    if !identity.authenticated_at.is_some_and(is_fresh) {
        let text = format!("{name} did not ask you again who you are, or does not say when it did.");
        return Err(Problem::Conflict(text));
    }
    let origin = Origin { actor: Actor::User(caller.user.id), ..visit.change_by_nobody() };
    match visit.store().confirm_session_with_identity(caller.session.id, identity, origin).await {
        Ok(token) => Ok(confirm::confirmed(visit, caller, token, held, next)),
        Err(UserError::WrongPassword) => {
            Err(Problem::Conflict(format!("You are somebody else at {name} than here. Nothing was changed.")))
        }
        Err(error) => Err(error.into()),
    }
}

fn failed(visit: &Visit, name: &str, error: &IdentityError) -> Outcome {
    tracing::warn!(request_id = %visit.id, cause = %error, "a sign-in at the identity provider failed");
    match error {
        IdentityError::Unavailable(_) => {
            let text = format!("{name} cannot be used now. The log of the server says why.");
            refused(visit, text, StatusCode::SERVICE_UNAVAILABLE)
        }
        IdentityError::Refused(_) => {
            let text = format!("What {name} answered was not accepted. The log of the server says why.");
            refused(visit, text, StatusCode::FORBIDDEN)
        }
    }
}

/// Somebody who is signed in and only confirms stays where they are.
fn refused(visit: &Visit, text: String, status: StatusCode) -> Outcome {
    if visit.session.is_some() {
        return Err(Problem::Conflict(text));
    }
    Ok(login::refused(visit, text)?.status(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trip_is_read_back_as_it_was_written_and_leads_nowhere_else() {
        let text = "a".repeat(43);
        let trip = |purpose, next: &str| Trip {
            state: text.clone(),
            nonce: text.clone(),
            verifier: text.clone(),
            purpose,
            next: Some(next.to_owned()),
        };
        let confirm = Purpose::Confirm("b".repeat(43));
        for purpose in [Purpose::SignIn, Purpose::Confirm(String::new()), confirm] {
            let written = trip(purpose.clone(), "/settings/api-keys?q=a b~c#x").to_cookie();
            assert!(cookie::set_provider(&written, true).is_none() == written.contains(' '), "{written}");
            let read = Trip::of_cookie(&trip(purpose.clone(), "/requests?q=a%7Eb").to_cookie()).unwrap();
            assert_eq!((read.purpose, read.next.as_deref()), (purpose, Some("/requests?q=a%7Eb")));
        }
        let read = Trip::of_cookie(&trip(Purpose::SignIn, "//evil.example").to_cookie()).unwrap();
        assert_eq!(read.next, None);
        for wrong in
            ["", "a~b~c~s~~", &format!("{text}~{text}~{text}~x~~"), &format!("{text}~{text}~{text}~s")]
        {
            assert!(Trip::of_cookie(wrong).is_none(), "{wrong}");
        }
    }
}
