//! The rest of the program: a mail server that keeps what it is given, and rules about destinations.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use telepath_core::mail::{Addressee, Letter};
use telepath_core::ports::{
    AgentAnswer, AgentGreeting, AgentMessage, AgentProbe, Destinations, Mail, MailError, PortFuture,
    ProbeError,
};
use telepath_core::trunk::{AgentSession, AgentTarget, AgentUrl};
use telepath_core::webhook::WebhookUrl;
use tokio::sync::Notify;

use crate::options::Services;

#[derive(Default)]
pub(super) struct Postbox {
    letters: Mutex<Vec<(String, String)>>,
    arrived: Notify,
    /// Whether it refuses everything.
    broken: bool,
}

impl Postbox {
    /// One that refuses everything.
    pub(super) fn broken() -> Arc<Self> {
        Arc::new(Self { broken: true, ..Self::default() })
    }

    pub(super) fn services(self: &Arc<Self>) -> Services {
        Services { mail: Some(Arc::clone(self) as Arc<dyn Mail>), ..without_mail() }
    }

    pub(super) fn count(&self) -> usize {
        self.letters.lock().unwrap().len()
    }

    /// The address and the text of the next letter.
    pub(super) async fn next(&self) -> (String, String) {
        loop {
            let arrived = self.arrived.notified();
            let taken = self.letters.lock().unwrap().pop();
            match taken {
                Some(letter) => return letter,
                None => arrived.await,
            }
        }
    }
}

impl Mail for Postbox {
    fn send<'a>(&'a self, letter: &'a Letter) -> PortFuture<'a, Result<(), MailError>> {
        Box::pin(async move {
            if self.broken {
                return Err(MailError("connection refused".to_owned()));
            }
            let to = match &letter.to {
                Addressee::One(email) => email.to_string(),
                Addressee::AlertRecipients => "alerts".to_owned(),
            };
            self.letters.lock().unwrap().push((to, letter.body.expose().to_owned()));
            self.arrived.notify_one();
            Ok(())
        })
    }
}

/// The path of the link in a text.
pub(super) fn link_in(text: &str) -> String {
    let (_, rest) = text.split_once("https://voice.example").unwrap_or_else(|| panic!("no link in {text}"));
    rest.split(|letter: char| letter.is_whitespace() || letter == '<').next().unwrap().to_owned()
}

/// Rules that refuse one host.
struct Rules;

impl Destinations for Rules {
    fn check_webhook_url(&self, url: &WebhookUrl) -> Result<(), String> {
        if url.host() == "refused.example" {
            Err("cannot be used: it is not allowed".to_owned())
        } else {
            Ok(())
        }
    }

    fn check_agent_url(&self, url: &AgentUrl) -> Result<(), String> {
        if url.origin().host == "refused.example" {
            Err("cannot be used: it is not allowed".to_owned())
        } else {
            Ok(())
        }
    }

    fn check_authorities(&self, _pem: &str) -> Result<(), String> {
        Err("holds no certificate".to_owned())
    }
}

/// Custom agents answer with the number of the headers that they were sent; those of `silent.example` cannot be reached.
/// Those of providers are ready, unless the model is `none`.
#[derive(Debug)]
struct Agents;

impl AgentProbe for Agents {
    fn probe<'a>(
        &'a self,
        target: &'a AgentTarget,
        session: &'a AgentSession,
    ) -> PortFuture<'a, Result<AgentAnswer, ProbeError>> {
        Box::pin(async move {
            let opened_in = Duration::from_millis(84);
            let AgentTarget::Custom { url, headers, .. } = target else {
                if session.model.as_deref() == Some("none") {
                    return Err(ProbeError("model_not_found: <b>none</b>".to_owned()));
                }
                let greeting = AgentGreeting::Ready(Duration::from_millis(312));
                return Ok(AgentAnswer { opened_in, greeting });
            };
            if url.origin().host == "silent.example" {
                return Err(ProbeError("the agent could not be reached: <b>refused</b>".to_owned()));
            }
            let text = format!("<b>{} headers</b>\u{202e}", headers.len());
            let greeting = AgentGreeting::Message(AgentMessage::Text(text));
            Ok(AgentAnswer { opened_in, greeting })
        })
    }
}

/// The rest of the program without a mail server.
pub(super) fn without_mail() -> Services {
    Services {
        destinations: Arc::new(Rules),
        agents: Arc::new(Agents),
        mail: None,
        identity_provider: None,
        server: Arc::new(super::server::Report),
    }
}
