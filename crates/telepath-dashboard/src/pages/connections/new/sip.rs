//! The third page: what the carrier calls. It creates the connection.

use askama::Template;
use http::StatusCode;
use telepath_core::trunk::{AiProvider, TrunkDraft};
use telepath_store::{SignedIn, TrunkChangeError};

use super::{draft_of, owner, path_of};
use crate::drafts::Draft;
use crate::form::{Fields, Problems, given, lines};
use crate::pages::connections::fields::problems_of;
use crate::pages::connections::password::{Next, revealed};
use crate::pages::connections::{crumbs, path_of as path_of_connection};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::visit::Visit;

/// The longest SIP user name.
const USERNAME: usize = 30;

#[derive(Template)]
#[template(path = "pages/connection_new_sip.html")]
struct Page {
    shell: Shell,
    problems: Problems,
    path: String,
    back: String,
    host: String,
    sip_username: String,
    own_password: bool,
    allowed_ips: String,
    inbound_numbers: String,
}

async fn page(
    visit: &Visit,
    caller: &SignedIn,
    (id, draft): (&str, &Draft),
    problems: Problems,
) -> Result<Reply, Problem> {
    let text = |field: &str| visit.form.text(field).to_owned();
    let typed = text("sip_username");
    Reply::page(&Page {
        shell: Shell::new(visit, caller, crumbs(), "New connection").await?,
        problems,
        path: path_of(id, "sip"),
        back: path_of(id, "credentials"),
        host: visit.shared.options.sip_host.clone(),
        sip_username: if typed.is_empty() { suggested(&draft.name) } else { typed },
        own_password: visit.form.text("password") == "own",
        allowed_ips: text("allowed_ips"),
        inbound_numbers: text("inbound_numbers"),
    })
}

/// A SIP user name like the name of the connection.
fn suggested(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let words = lower.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut text = words.collect::<Vec<_>>().join("-");
    text.truncate(USERNAME - 3);
    let text = text.trim_end_matches('-');
    if text.is_empty() { String::new() } else { format!("{text}-01") }
}

/// The request that the draft and the form make.
pub(super) fn trunk_draft(draft: &Draft, form: &Fields) -> TrunkDraft {
    let own = (form.text("password") == "own").then(|| form.secret("sip_password"));
    let new = TrunkDraft {
        name: Some(draft.name.clone()),
        ai_provider: Some(draft.provider.name().to_owned()),
        sip_username: Some(form.text("sip_username").trim().to_owned()),
        sip_password: own,
        system_prompt: given(&draft.system_prompt),
        allowed_ips: Some(lines(form.text("allowed_ips"))),
        inbound_numbers: Some(lines(form.text("inbound_numbers"))),
        ..TrunkDraft::default()
    };
    match draft.provider {
        AiProvider::Custom => TrunkDraft {
            custom_endpoint: given(&draft.custom_endpoint),
            agent_protocol: Some(draft.agent_protocol.name().to_owned()),
            custom_headers: (!draft.headers.is_empty()).then(|| draft.headers.clone()),
            ..new
        },
        AiProvider::OpenAi => TrunkDraft { openai_api_key: draft.api_key.clone(), ..new },
        AiProvider::Deepgram => TrunkDraft { deepgram_api_key: draft.api_key.clone(), ..new },
        AiProvider::Gemini => TrunkDraft { gemini_api_key: draft.api_key.clone(), ..new },
        AiProvider::ElevenLabs => TrunkDraft {
            elevenlabs_api_key: draft.api_key.clone(),
            elevenlabs_agent_id: given(&draft.elevenlabs_agent_id),
            ..new
        },
    }
}

pub(in crate::pages::connections) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let (id, draft) = draft_of(&visit, &caller)?;
    page(&visit, &caller, (&id, &draft), Problems::default()).await
}

pub(in crate::pages::connections) async fn create(visit: Visit, caller: SignedIn) -> Outcome {
    let (id, draft) = draft_of(&visit, &caller)?;
    let problems = match try_create(&visit, &caller, &draft).await? {
        Ok(reply) => {
            visit.shared.drafts.remove(owner(&caller), &id);
            return Ok(reply);
        }
        Err(problems) => problems,
    };
    let reply = page(&visit, &caller, (&id, &draft), problems).await?;
    Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY))
}

/// Creates the connection; the inner error is what the form must correct.
async fn try_create(
    visit: &Visit,
    caller: &SignedIn,
    draft: &Draft,
) -> Result<Result<Reply, Problems>, Problem> {
    let new = match trunk_draft(draft, &visit.form).check() {
        Ok(new) => new,
        Err(invalid) => return Ok(Err(problems_of(invalid, &visit.form))),
    };
    let made = visit.store().create_trunk(caller.session.account, new, visit.change_by(caller)).await;
    let made = match made {
        Ok(made) => made,
        Err(TrunkChangeError::UsernameTaken) => {
            let taken = "Another connection of this server has this user name";
            return Ok(Err(Problems::one("sip_username", taken)));
        }
        Err(TrunkChangeError::Invalid(invalid)) => return Ok(Err(problems_of(invalid, &visit.form))),
        Err(error) => return Err(error.into()),
    };
    let Some(password) = &made.generated_password else {
        return Ok(Ok(Reply::see_other(format!("{}/carrier?new=1", path_of_connection(made.trunk.id)))));
    };
    let sentence = "Connection created. Your carrier needs this password.".to_owned();
    Ok(Ok(revealed(visit, caller, &made.trunk, password, sentence, Next::Carrier).await?))
}

#[cfg(test)]
mod tests {
    use telepath_core::trunk::SipUsername;

    use super::*;

    #[test]
    fn a_suggested_user_name_is_valid_or_empty() {
        assert_eq!(suggested("Support line"), "support-line-01");
        assert_eq!((suggested("Ünï—"), suggested("")), ("n-01".to_owned(), String::new()));
        for name in
            ["a", "Sales & Support (EMEA), second line", "----", "x".repeat(100).as_str(), "\u{202e}b"]
        {
            let text = suggested(name);
            assert!(text.is_empty() || SipUsername::try_from(text.clone()).is_ok(), "{name}: {text}");
        }
    }
}
