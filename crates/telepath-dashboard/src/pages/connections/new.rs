//! `/connections/new`: five short pages. What is entered on the first two is kept on the server until the third creates the
//! connection; the last two are pages of the connection.

mod credentials;
mod sip;

use std::collections::BTreeMap;

use askama::Template;
use http::{Method, StatusCode};
use telepath_core::scope::Scope;
use telepath_core::trunk::{AgentProtocol, AiProvider};
use telepath_core::validation::checked_name;
use telepath_store::SignedIn;

use super::words::provider;
use super::{PATH, crumbs};
use crate::drafts::{Draft, Owner};
use crate::form::Problems;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::Shell;
use crate::visit::Visit;

pub(super) fn routes() -> Vec<Route> {
    const WRITE: Scope = Scope::TrunksWrite;
    vec![
        Route::scoped(Method::GET, "/connections/new", WRITE, show),
        Route::scoped(Method::POST, "/connections/new", WRITE, begin),
        Route::scoped(Method::GET, "/connections/new/{id}/credentials", WRITE, credentials::show),
        Route::scoped(Method::POST, "/connections/new/{id}/credentials", WRITE, credentials::save),
        Route::scoped(Method::GET, "/connections/new/{id}/sip", WRITE, sip::show),
        Route::scoped(Method::POST, "/connections/new/{id}/sip", WRITE, sip::create).confirmed(),
    ]
}

const fn owner(caller: &SignedIn) -> Owner {
    (caller.session.account, caller.user.id)
}

fn path_of(id: &str, page: &str) -> String {
    format!("{PATH}/new/{id}/{page}")
}

/// The draft that the path names, with its id.
fn draft_of(visit: &Visit, caller: &SignedIn) -> Result<(String, Draft), Problem> {
    let id: String = visit.id_in_path("This page does not exist")?;
    let draft = visit.shared.drafts.get(owner(caller), &id, visit.now);
    let gone = "The connection was created, or what you entered is more than an hour old. Look at the list of connections, \
                or begin again.";
    let draft = draft.ok_or_else(|| Problem::Gone(gone.to_owned()))?;
    Ok((id, draft))
}

/// An agent that can be chosen.
struct Choice {
    value: &'static str,
    name: &'static str,
    hint: &'static str,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "pages/connection_new.html")]
struct Page {
    shell: Shell,
    problems: Problems,
    name: String,
    choices: Vec<Choice>,
}

async fn page(
    visit: &Visit,
    caller: &SignedIn,
    chosen: AiProvider,
    problems: Problems,
) -> Result<Reply, Problem> {
    let choice = |one: &AiProvider| Choice {
        value: one.name(),
        name: provider(*one),
        hint: match one {
            AiProvider::Custom => {
                "A WebSocket server of your own that speaks telepath.v1, or one written for Twilio"
            }
            AiProvider::OpenAi => "The Realtime API, with your OpenAI key",
            AiProvider::ElevenLabs => "An agent of your ElevenLabs workspace",
            AiProvider::Deepgram => "The Voice Agent API, with your Deepgram key",
            AiProvider::Gemini => "The Live API, with your Gemini key",
        },
        chosen: *one == chosen,
    };
    Reply::page(&Page {
        shell: Shell::new(visit, caller, crumbs(), "New connection").await?,
        problems,
        name: visit.form.text("name").to_owned(),
        choices: AiProvider::ALL.iter().map(choice).collect(),
    })
}

pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    page(&visit, &caller, AiProvider::Custom, Problems::default()).await
}

pub(super) async fn begin(visit: Visit, caller: SignedIn) -> Outcome {
    let chosen = AiProvider::from_name(visit.form.text("provider"));
    let name = checked_name(visit.form.text("name").trim().to_owned());
    let (provider, name) = match (chosen, name) {
        (Some(provider), Ok(name)) => (provider, name),
        (chosen, name) => {
            let mut problems = Problems::default();
            if chosen.is_none() {
                problems.add("provider", "Choose an agent");
            }
            if let Err(problem) = name {
                problems.add("name", problem);
            }
            let chosen = chosen.unwrap_or(AiProvider::Custom);
            let reply = page(&visit, &caller, chosen, problems).await?;
            return Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY));
        }
    };
    let draft = Draft {
        name,
        provider,
        custom_endpoint: String::new(),
        agent_protocol: AgentProtocol::default(),
        headers: BTreeMap::new(),
        api_key: None,
        elevenlabs_agent_id: String::new(),
        system_prompt: String::new(),
    };
    let entropy = visit.store().entropy().as_ref();
    let id = visit.shared.drafts.begin(owner(&caller), draft, visit.now, entropy)?;
    Ok(Reply::see_other(path_of(&id, "credentials")))
}
