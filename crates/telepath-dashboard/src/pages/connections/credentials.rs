//! Replacing what the agent's provider knows this server by. Stored credentials are never shown.

use askama::Template;
use http::StatusCode;
use telepath_core::patch::Patch;
use telepath_core::trunk::{AiProvider, CredentialField, Trunk, TrunkPatchDraft};
use telepath_store::{SignedIn, TrunkChangeError};

use super::fields::problems_of;
use super::words::{credential, place_of};
use super::{crumbs_below, path_of, trunk_of};
use crate::form::{Problems, headers};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::time::relative;
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "pages/connection_credentials.html")]
struct Page {
    shell: Shell,
    problems: Problems,
    path: String,
    /// The name of the field.
    field: &'static str,
    label: &'static str,
    /// What is stored, in a sentence.
    stored: String,
    place: String,
    is_headers: bool,
    is_set: bool,
}

/// The credential that agents of a provider need.
fn field_of(provider: AiProvider) -> CredentialField {
    provider.api_key().unwrap_or(CredentialField::CustomHeaders)
}

async fn page(visit: &Visit, caller: &SignedIn, trunk: &Trunk, problems: Problems) -> Result<Reply, Problem> {
    let field = field_of(trunk.ai_provider);
    let state = trunk.credentials.get(&field);
    let stored = state.map_or_else(
        || "None are set.".to_owned(),
        |state| {
            let last4 = state.last4.as_ref().map_or_else(String::new, |last4| format!(" …{last4}"));
            format!("The current value{last4} was set {}.", relative(state.updated_at, visit.now))
        },
    );
    Reply::page(&Page {
        shell: Shell::new(visit, caller, crumbs_below(trunk), "Replace credentials").await?,
        problems,
        path: path_of(trunk.id),
        field: field.name(),
        label: credential(field),
        stored,
        place: place_of(trunk).unwrap_or_default(),
        is_headers: field == CredentialField::CustomHeaders,
        is_set: state.is_some(),
    })
}

pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let trunk = trunk_of(&visit, &caller).await?;
    page(&visit, &caller, &trunk, Problems::default()).await
}

pub(super) async fn save(visit: Visit, caller: SignedIn) -> Outcome {
    let trunk = trunk_of(&visit, &caller).await?;
    let Some(problems) = try_save(&visit, &caller, &trunk).await? else {
        return Ok(Reply::see_other(format!("{}?done=credentials", path_of(trunk.id))));
    };
    let reply = page(&visit, &caller, &trunk, problems).await?;
    Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY))
}

/// Replaces the credentials, or says what the form must correct.
async fn try_save(visit: &Visit, caller: &SignedIn, trunk: &Trunk) -> Result<Option<Problems>, Problem> {
    let (mut draft, mut problems) = (TrunkPatchDraft::default(), Problems::default());
    let secret = |field: CredentialField| Some(visit.form.secret(field.name()));
    let field = field_of(trunk.ai_provider);
    match field {
        CredentialField::OpenAiApiKey => draft.openai_api_key = secret(field),
        CredentialField::ElevenLabsApiKey => draft.elevenlabs_api_key = secret(field),
        CredentialField::DeepgramApiKey => draft.deepgram_api_key = secret(field),
        CredentialField::GeminiApiKey => draft.gemini_api_key = secret(field),
        CredentialField::CustomHeaders => {
            let typed = headers(visit.form.text(field.name()), field.name(), &mut problems);
            draft.custom_headers = match (visit.form.is_checked("remove"), typed.is_empty()) {
                (true, _) => Patch::Clear,
                (false, false) => Patch::Set(typed),
                (false, true) => {
                    problems.add(field.name(), "Enter at least one header");
                    Patch::Keep
                }
            };
        }
    }
    if !problems.is_empty() {
        return Ok(Some(problems));
    }
    let (account, origin) = (caller.session.account, visit.change_by(caller));
    match visit.store().update_trunk(account, trunk.id, draft, origin).await {
        Ok(_) => Ok(None),
        Err(TrunkChangeError::Invalid(invalid)) => Ok(Some(problems_of(invalid, &visit.form))),
        Err(error) => Err(error.into()),
    }
}
