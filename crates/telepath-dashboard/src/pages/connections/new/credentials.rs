//! The second page: where the agent is, how it knows this server, and a test.

use askama::Template;
use http::StatusCode;
use telepath_core::trunk::{
    AgentProtocol, AgentSession, AgentTarget, AgentUrl, AiProvider, CredentialField, HeaderName,
};
use telepath_store::SignedIn;

use super::{draft_of, owner, path_of};
use crate::drafts::Draft;
use crate::form::{Problems, given, headers};
use crate::pages::connections::agent_test::TestResult;
use crate::pages::connections::crumbs;
use crate::pages::connections::edit::check_destination;
use crate::pages::connections::fields::{PROTOCOLS, problems_of};
use crate::pages::connections::words::provider;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "pages/connection_new_credentials.html")]
struct Page {
    shell: Shell,
    problems: Problems,
    path: String,
    draft: Draft,
    provider: &'static str,
    is_custom: bool,
    is_elevenlabs: bool,
    protocols: [(&'static str, &'static str); 2],
    key_field: &'static str,
    /// What is kept of a key that was entered before.
    kept_key: Option<String>,
    /// The names of headers that were entered before.
    kept_headers: Vec<String>,
    result: Option<TestResult>,
}

/// The field of the provider's key; empty for a custom agent.
fn key_field(provider: AiProvider) -> &'static str {
    provider.api_key().map_or("", CredentialField::name)
}

async fn page(
    visit: &Visit,
    caller: &SignedIn,
    (id, draft): (&str, Draft),
    problems: Problems,
    result: Option<TestResult>,
) -> Result<Reply, Problem> {
    let kept_key = draft.api_key.as_ref().map(|key| key.last4().unwrap_or_default());
    Reply::page(&Page {
        shell: Shell::new(visit, caller, crumbs(), "New connection").await?,
        problems,
        path: path_of(id, "credentials"),
        provider: provider(draft.provider),
        is_custom: draft.provider == AiProvider::Custom,
        is_elevenlabs: draft.provider == AiProvider::ElevenLabs,
        protocols: PROTOCOLS,
        key_field: key_field(draft.provider),
        kept_key,
        kept_headers: draft.headers.keys().cloned().collect(),
        result,
        draft,
    })
}

pub(in crate::pages::connections) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let (id, draft) = draft_of(&visit, &caller)?;
    page(&visit, &caller, (&id, draft), Problems::default(), None).await
}

/// What the form changes in the draft. A secret that is left empty stays as it was entered before.
fn entered(visit: &Visit, mut draft: Draft, problems: &mut Problems) -> Draft {
    let form = &visit.form;
    match draft.provider {
        AiProvider::Custom => {
            form.text("custom_endpoint").trim().clone_into(&mut draft.custom_endpoint);
            let protocol = form.text("agent_protocol");
            match AgentProtocol::from_name(protocol) {
                Some(protocol) => draft.agent_protocol = protocol,
                None if protocol.is_empty() => {}
                None => problems.add("agent_protocol", "Choose a protocol"),
            }
            let typed = headers(form.text("custom_headers"), "custom_headers", problems);
            if form.is_checked("remove_headers") {
                draft.headers.clear();
            } else if !typed.is_empty() {
                draft.headers = typed;
            }
        }
        AiProvider::OpenAi | AiProvider::ElevenLabs | AiProvider::Deepgram | AiProvider::Gemini => {
            form.text("elevenlabs_agent_id").trim().clone_into(&mut draft.elevenlabs_agent_id);
            let key = form.secret(key_field(draft.provider));
            if !key.expose().is_empty() {
                draft.api_key = Some(key);
            }
        }
    }
    draft.system_prompt = form.text("system_prompt").replace("\r\n", "\n");
    draft
}

/// The problems of what is entered so far: the fields of the next page are not missed yet.
fn check(visit: &Visit, draft: &Draft) -> Problems {
    let mut problems = check_destination(visit, &draft.custom_endpoint);
    let of_this_page = |field: &str| {
        let others = ["name", "sip_username", "sip_password", "allowed_ips", "inbound_numbers"];
        !others.iter().any(|other| field.starts_with(other))
    };
    if let Err(invalid) = super::sip::trunk_draft(draft, &visit.form).check() {
        let found = problems_of(invalid, &visit.form);
        found
            .iter()
            .filter(|(field, _)| of_this_page(field))
            .for_each(|(field, text)| problems.add(field, text));
    }
    problems
}

/// Where a test connects to; `None` if that was not entered.
fn target(draft: &Draft) -> Option<AgentTarget> {
    Some(match draft.provider {
        AiProvider::Custom => AgentTarget::Custom {
            url: AgentUrl::try_from(draft.custom_endpoint.clone()).ok()?,
            protocol: draft.agent_protocol,
            headers: draft
                .headers
                .iter()
                .filter_map(|(name, value)| Some((HeaderName::try_from(name.clone()).ok()?, value.clone())))
                .collect(),
        },
        AiProvider::OpenAi => AgentTarget::OpenAi { api_key: draft.api_key.clone()? },
        AiProvider::Deepgram => AgentTarget::Deepgram { api_key: draft.api_key.clone()? },
        AiProvider::Gemini => AgentTarget::Gemini { api_key: draft.api_key.clone()? },
        AiProvider::ElevenLabs => AgentTarget::ElevenLabs {
            api_key: draft.api_key.clone()?,
            agent_id: draft.elevenlabs_agent_id.clone(),
        },
    })
}

pub(in crate::pages::connections) async fn save(visit: Visit, caller: SignedIn) -> Outcome {
    let (id, draft) = draft_of(&visit, &caller)?;
    let mut problems = Problems::default();
    let draft = entered(&visit, draft, &mut problems);
    visit.shared.drafts.replace(owner(&caller), &id, draft.clone(), visit.now);
    check(&visit, &draft).iter().for_each(|(field, problem)| problems.add(field, problem));
    if !problems.is_empty() {
        let reply = page(&visit, &caller, (&id, draft), problems, None).await?;
        return Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY));
    }
    if visit.form.text("action") != "test" {
        return Ok(Reply::see_other(path_of(&id, "sip")));
    }
    let result = match target(&draft) {
        Some(target) => {
            let prompt = given(&draft.system_prompt);
            let session = AgentSession { system_prompt: prompt, ..AgentSession::default() };
            Some(TestResult::of(visit.shared.agents.probe(&target, &session).await))
        }
        None => None,
    };
    page(&visit, &caller, (&id, draft), problems, result).await
}
