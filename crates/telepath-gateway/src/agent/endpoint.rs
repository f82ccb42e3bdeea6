//! Where and how to connect to each kind of agent, and which dialect it speaks.

use std::fmt::Write as _;

use telepath_core::secret::SecretText;
use telepath_core::trunk::{AgentProtocol, AgentSession, AgentTarget, AgentUrl, ProviderUrls};
use telepath_media::dialect::{
    DeepgramSettings, DialectConfig, ElevenLabsSettings, GeminiSettings, OpenAiLiveSettings, OpenAiSettings,
};
use tokio_tungstenite::tungstenite::http::HeaderName;

/// The model of OpenAI Realtime if the trunk names none.
const OPENAI_MODEL: &str = "gpt-realtime-2.1";
/// The model of Gemini Live if the trunk names none.
const GEMINI_MODEL: &str = "gemini-live-2.5-flash-preview";

/// Where and how to connect to an agent.
#[derive(Debug)]
pub(crate) struct AgentEndpoint {
    pub(super) address: AgentAddress,
    /// The headers of the WebSocket handshake, or of the request for the signed URL.
    pub(super) headers: Vec<(HeaderName, SecretText)>,
}

/// The URL of an agent. It may contain a key, so it is never printed.
#[derive(Debug)]
pub(super) enum AgentAddress {
    /// The WebSocket URL.
    Direct(SecretText),
    /// A URL that answers a GET with the WebSocket URL, which is valid for a short time.
    Signed(SecretText),
}

impl AgentEndpoint {
    /// The endpoint of a target whose provider is reached at `urls`.
    pub(crate) fn of(target: &AgentTarget, session: &AgentSession, urls: &ProviderUrls) -> Self {
        match target {
            AgentTarget::Custom { url, protocol: _, headers } => {
                let named = |(name, value): &(telepath_core::trunk::HeaderName, SecretText)| {
                    // Both follow RFC 9110 section 5.6.2.
                    Some((HeaderName::try_from(name.as_str()).ok()?, value.clone()))
                };
                Self {
                    address: AgentAddress::Direct(SecretText::new(url.as_str().to_owned())),
                    headers: headers.iter().filter_map(named).collect(),
                }
            }
            AgentTarget::OpenAi { api_key } => {
                let model = session.model.as_deref().unwrap_or(OPENAI_MODEL);
                let url = if is_live(model) {
                    below(&urls.openai, "/v1/live/sessions", &[])
                } else {
                    below(&urls.openai, "/v1/realtime", &[("model", model)])
                };
                Self { address: AgentAddress::Direct(url), headers: vec![authorization("Bearer", api_key)] }
            }
            AgentTarget::ElevenLabs { api_key, agent_id } => {
                let path = "/v1/convai/conversation/get-signed-url";
                let url = below(&urls.elevenlabs, path, &[("agent_id", agent_id)]);
                let header = (HeaderName::from_static("xi-api-key"), api_key.clone());
                Self { address: AgentAddress::Signed(url), headers: vec![header] }
            }
            AgentTarget::Deepgram { api_key } => {
                let url = below(&urls.deepgram, "/v1/agent/converse", &[]);
                Self { address: AgentAddress::Direct(url), headers: vec![authorization("Token", api_key)] }
            }
            AgentTarget::Gemini { api_key } => {
                let path = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent";
                let url = below(&urls.gemini, path, &[("key", api_key.expose())]);
                Self { address: AgentAddress::Direct(url), headers: Vec::new() }
            }
        }
    }
}

/// The dialect that a target speaks, with the settings of the trunk. The instructions are part of the call.
pub(crate) fn dialect_of(target: &AgentTarget, session: &AgentSession) -> DialectConfig {
    let AgentSession { system_prompt: _, voice_id: voice, model, greeting } = session.clone();
    let tools = Vec::new();
    match target {
        AgentTarget::Custom { protocol: AgentProtocol::TelepathV1, .. } => DialectConfig::TelepathV1,
        AgentTarget::Custom { protocol: AgentProtocol::Twilio, .. } => DialectConfig::Twilio,
        AgentTarget::OpenAi { .. } => match model.filter(|model| is_live(model)) {
            Some(model) => {
                DialectConfig::OpenAiLive(OpenAiLiveSettings { model, voice, greeting, backend: None })
            }
            None => DialectConfig::OpenAi(OpenAiSettings { voice, greeting, tools }),
        },
        AgentTarget::ElevenLabs { .. } => DialectConfig::ElevenLabs(ElevenLabsSettings {
            first_message: greeting,
            voice_id: voice,
            language: None,
            client_tools: false,
        }),
        AgentTarget::Deepgram { .. } => {
            let (think_provider, think_model) = match model {
                None => (None, None),
                Some(model) => match model.split_once('/') {
                    Some((provider, model)) => (Some(provider.to_owned()), Some(model.to_owned())),
                    None => (None, Some(model)),
                },
            };
            DialectConfig::Deepgram(DeepgramSettings {
                greeting,
                think_provider,
                think_model,
                voice,
                tools,
                ..DeepgramSettings::default()
            })
        }
        AgentTarget::Gemini { .. } => DialectConfig::Gemini(GeminiSettings {
            model: model.unwrap_or_else(|| GEMINI_MODEL.to_owned()),
            voice,
            language: None,
            greeting,
            tools,
        }),
    }
}

/// Whether a model of OpenAI is reached by OpenAI Live, which has a protocol of its own.
fn is_live(model: &str) -> bool {
    model.starts_with("gpt-live")
}

fn authorization(scheme: &str, key: &SecretText) -> (HeaderName, SecretText) {
    (HeaderName::from_static("authorization"), SecretText::new(format!("{scheme} {}", key.expose())))
}

/// A URL below that of a provider, with query parameters.
fn below(base: &AgentUrl, path: &str, query: &[(&str, &str)]) -> SecretText {
    let mut url = format!("{}{path}", base.as_str().trim_end_matches('/'));
    for (place, (name, value)) in query.iter().enumerate() {
        url.push(if place == 0 { '?' } else { '&' });
        url.push_str(name);
        url.push('=');
        for byte in value.bytes() {
            // The unreserved characters of RFC 3986 section 2.3.
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                url.push(char::from(byte));
            } else {
                // Writing to a string does not fail.
                let _ = write!(url, "%{byte:02X}");
            }
        }
    }
    SecretText::new(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "k+e/y=&1";

    fn urls() -> ProviderUrls {
        let url = |text: &str| AgentUrl::try_from(text.to_owned()).unwrap();
        ProviderUrls { gemini: url("wss://proxy.example/gemini/"), ..ProviderUrls::default() }
    }

    fn endpoint(target: &AgentTarget, model: Option<&str>) -> (String, Vec<(String, String)>) {
        let session = AgentSession { model: model.map(str::to_owned), ..AgentSession::default() };
        let endpoint = AgentEndpoint::of(target, &session, &urls());
        assert!(!format!("{endpoint:?}").contains(KEY), "secrets cannot be printed");
        let (AgentAddress::Direct(url) | AgentAddress::Signed(url)) = &endpoint.address;
        let headers = endpoint.headers.iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.expose().to_owned()));
        (url.expose().to_owned(), headers.collect())
    }

    fn key() -> SecretText {
        SecretText::new(KEY.to_owned())
    }

    fn header(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn openai_gets_the_model_in_the_query_and_a_bearer_token() {
        let target = AgentTarget::OpenAi { api_key: key() };
        let (url, headers) = endpoint(&target, None);
        assert_eq!(url, "wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1");
        assert_eq!(headers, header("authorization", "Bearer k+e/y=&1"));
        let (url, _) = endpoint(&target, Some("my model&x"));
        assert_eq!(url, "wss://api.openai.com/v1/realtime?model=my%20model%26x");
    }

    #[test]
    fn a_live_model_of_openai_has_its_own_path_and_dialect() {
        let target = AgentTarget::OpenAi { api_key: key() };
        let (url, headers) = endpoint(&target, Some("gpt-live-1"));
        assert_eq!(url, "wss://api.openai.com/v1/live/sessions");
        assert_eq!(headers, header("authorization", "Bearer k+e/y=&1"));
        let session = AgentSession { model: Some("gpt-live-1".to_owned()), ..AgentSession::default() };
        assert!(matches!(dialect_of(&target, &session), DialectConfig::OpenAiLive(_)));
    }

    #[test]
    fn a_model_of_deepgram_may_name_its_provider() {
        let model = |text: &str| {
            let session = AgentSession { model: Some(text.to_owned()), ..AgentSession::default() };
            match dialect_of(&AgentTarget::Deepgram { api_key: key() }, &session) {
                DialectConfig::Deepgram(settings) => (settings.think_provider, settings.think_model),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(model("gpt-4o"), (None, Some("gpt-4o".to_owned())));
        assert_eq!(model("anthropic/x-1"), (Some("anthropic".to_owned()), Some("x-1".to_owned())));
    }

    #[test]
    fn elevenlabs_is_asked_for_a_signed_url() {
        let target = AgentTarget::ElevenLabs { api_key: key(), agent_id: "agent_1".to_owned() };
        let (url, headers) = endpoint(&target, None);
        let path = "/v1/convai/conversation/get-signed-url?agent_id=agent_1";
        assert_eq!(url, format!("wss://api.elevenlabs.io{path}"));
        assert_eq!(headers, header("xi-api-key", KEY));
    }

    #[test]
    fn deepgram_gets_a_token_and_gemini_an_encoded_key_below_a_base_url_with_a_path() {
        let (url, headers) = endpoint(&AgentTarget::Deepgram { api_key: key() }, None);
        assert_eq!(url, "wss://agent.deepgram.com/v1/agent/converse");
        assert_eq!(headers, header("authorization", "Token k+e/y=&1"));
        let (url, headers) = endpoint(&AgentTarget::Gemini { api_key: key() }, None);
        let service = "google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent";
        assert_eq!(url, format!("wss://proxy.example/gemini/ws/{service}?key=k%2Be%2Fy%3D%261"));
        assert!(headers.is_empty());
    }
}
