//! A test of the agent of a connection: its socket is opened as for a call.

use std::time::Duration;

use askama::Template;
use telepath_core::ports::{AgentAnswer, AgentGreeting, AgentMessage, ProbeError};
use telepath_core::trunk::Trunk;
use telepath_store::SignedIn;

use super::words::{agent, place_of};
use super::{NONE, crumbs_below, path_of, trunk_of};
use crate::number::{counted, grouped};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::visible::visible_lines;
use crate::visit::Visit;

/// What a test of an agent found.
pub(super) struct TestResult {
    pub(super) is_good: bool,
    pub(super) sentence: String,
    /// The first message, if it was a text.
    pub(super) text: Option<String>,
}

impl TestResult {
    pub(super) fn of(answer: Result<AgentAnswer, ProbeError>) -> Self {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let sentence = crate::form::sentence(&visible_lines(&error.to_string()));
                return Self { is_good: false, sentence, text: None };
            }
        };
        let ms = |time: Duration| grouped(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let opened = ms(answer.opened_in);
        let (rest, text) = match answer.greeting {
            AgentGreeting::Ready(ready_in) => {
                (format!("It accepted the session and was ready after {} ms.", ms(ready_in)), None)
            }
            AgentGreeting::Message(AgentMessage::Text(text)) => {
                ("Its first message:".to_owned(), Some(visible_lines(&text)))
            }
            AgentGreeting::Message(AgentMessage::Audio { bytes }) => {
                (format!("Its first message is audio, {}.", counted(bytes as u64, "byte", "bytes")), None)
            }
            AgentGreeting::Silence => {
                ("It sent nothing within 3 s, as an agent does that waits for its caller.".to_owned(), None)
            }
        };
        Self { is_good: true, sentence: format!("The socket was open after {opened} ms. {rest}"), text }
    }
}

#[derive(Template)]
#[template(path = "pages/connection_test.html")]
struct Page {
    shell: Shell,
    path: String,
    agent: &'static str,
    place: String,
    result: Option<TestResult>,
}

async fn page(visit: &Visit, caller: &SignedIn, trunk: &Trunk, result: Option<TestResult>) -> Outcome {
    Reply::page(&Page {
        shell: Shell::new(visit, caller, crumbs_below(trunk), "Test agent").await?,
        path: path_of(trunk.id),
        agent: agent(trunk),
        place: place_of(trunk).unwrap_or_default(),
        result,
    })
}

pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let trunk = trunk_of(&visit, &caller).await?;
    page(&visit, &caller, &trunk, None).await
}

/// Tests the agent with the stored credentials, which the page does not show.
pub(super) async fn run(visit: Visit, caller: SignedIn) -> Outcome {
    let trunk = trunk_of(&visit, &caller).await?;
    let found = visit.store().agent_of_trunk(caller.session.account, trunk.id).await?;
    let (target, session) = found.ok_or(Problem::NotFound(NONE))?;
    let answer = visit.shared.agents.probe(&target, &session).await;
    page(&visit, &caller, &trunk, Some(TestResult::of(answer))).await
}
