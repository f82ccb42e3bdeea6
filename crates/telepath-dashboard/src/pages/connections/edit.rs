//! Changing a connection.

use askama::Template;
use http::StatusCode;
use telepath_core::patch::Patch;
use telepath_core::trunk::{AgentUrl, AiProvider, CredentialField, E164, Trunk, TrunkPatchDraft};
use telepath_store::{SignedIn, TrunkChangeError};

use super::fields::{PROTOCOLS, SRTP_MODES, codec_choices, codecs, codecs_value, number, problems_of};
use super::{crumbs_below, path_of, trunk_of};
use crate::form::{Fields, Problems, given, headers, lines};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::visit::Visit;

/// What the form shows: what was typed, or what is stored.
struct Typed {
    name: String,
    custom_endpoint: String,
    agent_protocol: String,
    elevenlabs_agent_id: String,
    system_prompt: String,
    greeting: String,
    model: String,
    voice_id: String,
    inbound_numbers: String,
    allowed_ips: String,
    codecs: String,
    srtp: String,
    max_concurrent_calls: String,
    max_call_seconds: String,
}

impl Typed {
    fn of(form: &Fields) -> Self {
        let text = |field: &str| form.text(field).to_owned();
        Self {
            name: text("name"),
            custom_endpoint: text("custom_endpoint"),
            agent_protocol: text("agent_protocol"),
            elevenlabs_agent_id: text("elevenlabs_agent_id"),
            system_prompt: text("system_prompt"),
            greeting: text("greeting"),
            model: text("model"),
            voice_id: text("voice_id"),
            inbound_numbers: text("inbound_numbers"),
            allowed_ips: text("allowed_ips"),
            codecs: text("codecs"),
            srtp: text("srtp"),
            max_concurrent_calls: text("max_concurrent_calls"),
            max_call_seconds: text("max_call_seconds"),
        }
    }

    fn stored(trunk: &Trunk) -> Self {
        let settings = &trunk.settings;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let limit = |limit: Option<u32>| limit.map_or_else(String::new, |limit| limit.to_string());
        let numbers: Vec<&str> = settings.inbound_numbers.iter().map(E164::as_str).collect();
        Self {
            name: trunk.name.clone(),
            custom_endpoint: settings
                .custom_endpoint
                .as_ref()
                .map_or_else(String::new, |url| url.as_str().to_owned()),
            agent_protocol: trunk.agent_protocol.name().to_owned(),
            elevenlabs_agent_id: text(&settings.elevenlabs_agent_id),
            system_prompt: text(&settings.system_prompt),
            greeting: text(&settings.greeting),
            model: text(&settings.model),
            voice_id: text(&settings.voice_id),
            inbound_numbers: numbers.join("\n"),
            allowed_ips: trunk.allowed_ips.to_string().replace(',', "\n"),
            codecs: codecs_value(&settings.codecs),
            srtp: settings.srtp.name().to_owned(),
            max_concurrent_calls: limit(settings.max_concurrent_calls),
            max_call_seconds: limit(settings.max_call_seconds),
        }
    }
}

#[derive(Template)]
#[template(path = "pages/connection_edit.html")]
struct Page {
    shell: Shell,
    problems: Problems,
    path: String,
    typed: Typed,
    is_custom: bool,
    is_elevenlabs: bool,
    has_headers: bool,
    protocols: [(&'static str, &'static str); 2],
    codecs: Vec<(String, String)>,
    srtp_modes: [(&'static str, &'static str); 3],
}

async fn page(
    visit: &Visit,
    caller: &SignedIn,
    trunk: &Trunk,
    typed: Typed,
    problems: Problems,
) -> Result<Reply, Problem> {
    Reply::page(&Page {
        shell: Shell::new(visit, caller, crumbs_below(trunk), "Edit").await?,
        problems,
        path: path_of(trunk.id),
        codecs: codec_choices(&typed.codecs),
        typed,
        is_custom: trunk.ai_provider == AiProvider::Custom,
        is_elevenlabs: trunk.ai_provider == AiProvider::ElevenLabs,
        has_headers: trunk.credentials.contains_key(&CredentialField::CustomHeaders),
        srtp_modes: SRTP_MODES,
        protocols: PROTOCOLS,
    })
}

pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let trunk = trunk_of(&visit, &caller).await?;
    page(&visit, &caller, &trunk, Typed::stored(&trunk), Problems::default()).await
}

pub(super) async fn save(visit: Visit, caller: SignedIn) -> Outcome {
    let trunk = trunk_of(&visit, &caller).await?;
    let Some(problems) = try_save(&visit, &caller, &trunk).await? else {
        return Ok(Reply::see_other(format!("{}?done=saved", path_of(trunk.id))));
    };
    let reply = page(&visit, &caller, &trunk, Typed::of(&visit.form), problems).await?;
    Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY))
}

/// Refuses the URL of an agent that the server must not connect to. One that is not valid is reported with the others.
pub(super) fn check_destination(visit: &Visit, url: &str) -> Problems {
    let url = AgentUrl::try_from(url.to_owned()).ok();
    match url.map(|url| visit.shared.destinations.check_agent_url(&url)) {
        Some(Err(problem)) => Problems::one("custom_endpoint", problem),
        Some(Ok(())) | None => Problems::default(),
    }
}

/// Saves the changes, or says what the form must correct.
async fn try_save(visit: &Visit, caller: &SignedIn, trunk: &Trunk) -> Result<Option<Problems>, Problem> {
    let (form, mut problems) = (&visit.form, Problems::default());
    // Browsers end the lines of a text with CR LF.
    let clear = |field: &str| given(&form.text(field).replace("\r\n", "\n")).map_or(Patch::Clear, Patch::Set);
    let limit = |number: Option<u32>| number.map_or(Patch::Clear, Patch::Set);
    let mut draft = TrunkPatchDraft {
        name: Some(form.text("name").trim().to_owned()),
        system_prompt: clear("system_prompt"),
        greeting: clear("greeting"),
        model: clear("model"),
        voice_id: clear("voice_id"),
        inbound_numbers: Some(lines(form.text("inbound_numbers"))),
        allowed_ips: Some(lines(form.text("allowed_ips"))),
        codecs: Some(codecs(form)),
        srtp: given(form.text("srtp")),
        max_concurrent_calls: limit(number(form, "max_concurrent_calls", &mut problems)),
        max_call_seconds: limit(number(form, "max_call_seconds", &mut problems)),
        ..TrunkPatchDraft::default()
    };
    match trunk.ai_provider {
        AiProvider::Custom => {
            let typed = headers(form.text("custom_headers"), "custom_headers", &mut problems);
            draft.custom_endpoint = Some(form.text("custom_endpoint").trim().to_owned());
            draft.agent_protocol = given(form.text("agent_protocol"));
            draft.custom_headers = match (form.is_checked("remove_headers"), typed.is_empty()) {
                (true, _) => Patch::Clear,
                (false, true) => Patch::Keep,
                (false, false) => Patch::Set(typed),
            };
        }
        AiProvider::ElevenLabs => draft.elevenlabs_agent_id = given(form.text("elevenlabs_agent_id")),
        AiProvider::OpenAi | AiProvider::Deepgram | AiProvider::Gemini => {}
    }
    if !problems.is_empty() {
        return Ok(Some(problems));
    }
    let refused = check_destination(visit, form.text("custom_endpoint").trim());
    if !refused.is_empty() {
        return Ok(Some(refused));
    }
    let (account, origin) = (caller.session.account, visit.change_by(caller));
    match visit.store().update_trunk(account, trunk.id, draft, origin).await {
        Ok(_) => Ok(None),
        Err(TrunkChangeError::Invalid(invalid)) => Ok(Some(problems_of(invalid, form))),
        Err(error) => Err(error.into()),
    }
}
