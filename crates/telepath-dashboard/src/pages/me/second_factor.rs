//! The second factor: an authenticator, and recovery codes for the day on which it is lost.

use askama::Template;
use http::{Method, StatusCode};
use telepath_store::{NewRecoveryCodes, SignedIn, TotpEnrolment, UserError};

use super::crumbs;
use crate::form::Problems;
use crate::number::counted;
use crate::problem::Problem;
use crate::qr;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::{Crumb, Shell};
use crate::visit::Visit;

/// How authenticators name this installation.
const ISSUER: &str = "Telepath";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::user(Method::GET, "/me/second-factor", show),
        Route::user(Method::POST, "/me/second-factor", enrol).confirmed(),
        Route::user(Method::POST, "/me/second-factor/confirm", confirm),
        Route::user(Method::POST, "/me/second-factor/remove", remove).confirmed(),
        Route::user(Method::POST, "/me/recovery-codes", replace_codes).confirmed(),
    ]
}

#[derive(Template)]
#[template(path = "pages/me_second_factor.html")]
struct Page {
    shell: Shell,
    has_second_factor: bool,
    codes_left: String,
}

async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let left = visit.store().recovery_codes_left(caller.user.id).await?;
    Reply::page(&Page {
        shell: Shell::new(&visit, &caller, crumbs(), "Second factor").await?,
        has_second_factor: caller.user.has_second_factor,
        codes_left: counted(left.into(), "unused code", "unused codes"),
    })
}

#[derive(Template)]
#[template(path = "pages/me_enrol.html")]
struct EnrolPage {
    shell: Shell,
    qr: String,
    secret: String,
    problems: Problems,
}

async fn enrol_page(
    visit: &Visit,
    caller: &SignedIn,
    enrolment: &TotpEnrolment,
    problems: Problems,
) -> Result<Reply, Problem> {
    let failed = || Problem::Failed("the address is too long for a QR code".to_owned());
    let reply = Reply::page(&EnrolPage {
        shell: Shell::new(visit, caller, below(), "Add an authenticator").await?,
        qr: qr::svg(enrolment.uri.expose()).ok_or_else(failed)?,
        secret: grouped(enrolment.secret.expose()),
        problems,
    })?;
    Ok(reply.secret())
}

fn below() -> Vec<Crumb> {
    let mut crumbs = crumbs();
    crumbs.push(Crumb::page("Second factor", "/me/second-factor"));
    crumbs
}

/// The secret in groups of four, for typing.
fn grouped(secret: &str) -> String {
    let symbols: Vec<char> = secret.chars().collect();
    symbols.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

async fn enrol(visit: Visit, caller: SignedIn) -> Outcome {
    let enrolment = visit.store().enrol_totp(caller.user.id, ISSUER, visit.change_by(&caller)).await?;
    enrol_page(&visit, &caller, &enrolment, Problems::default()).await
}

async fn confirm(visit: Visit, caller: SignedIn) -> Outcome {
    let (session, code) = (caller.session.id, visit.form.text("code"));
    match visit.store().confirm_totp(session, code, visit.change_by(&caller)).await {
        Ok(codes) => codes_page(&visit, &caller, &codes).await,
        Err(UserError::WrongCode) => {
            let Some(enrolment) = visit.store().pending_totp(caller.user.id, ISSUER).await? else {
                return Ok(Reply::see_other("/me/second-factor"));
            };
            let problems = Problems::one("code", "The code is wrong. Enter the one that is shown now.");
            let reply = enrol_page(&visit, &caller, &enrolment, problems).await?;
            Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY))
        }
        // A second submission of the form.
        Err(UserError::SecondFactorState) => Ok(Reply::see_other("/me/second-factor")),
        Err(error) => Err(error.into()),
    }
}

#[derive(Template)]
#[template(path = "pages/me_codes.html")]
struct CodesPage {
    shell: Shell,
    codes: Vec<String>,
}

async fn codes_page(visit: &Visit, caller: &SignedIn, codes: &NewRecoveryCodes) -> Outcome {
    let mut caller = caller.clone();
    caller.user.has_second_factor = true;
    let shell = Shell::new(visit, &caller, below(), "Recovery codes").await?;
    let codes = codes.0.iter().map(|code| code.expose().to_owned()).collect();
    Ok(Reply::page(&CodesPage { shell, codes })?.secret())
}

async fn replace_codes(visit: Visit, caller: SignedIn) -> Outcome {
    let codes = visit.store().replace_recovery_codes(caller.user.id, visit.change_by(&caller)).await?;
    codes_page(&visit, &caller, &codes).await
}

async fn remove(visit: Visit, caller: SignedIn) -> Outcome {
    visit.store().remove_second_factor(caller.user.id, visit.change_by(&caller)).await?;
    Ok(Reply::see_other("/me?done=second-factor-off"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_in_groups_of_four() {
        assert_eq!(grouped("GEZDGNBVGY3TQOJQ"), "GEZD GNBV GY3T QOJQ");
    }
}
