//! Settings for the providers of agents.

use super::{Kind, Setting};

settings! {
    AGENTS;
    "agents.openai_base_url", "TELEPATH_AGENTS_OPENAI_BASE_URL", Kind::AgentUrl, Some("wss://api.openai.com"), "\"wss://eu.api.openai.com\"",
        "Where OpenAI is reached, for a region or a proxy. The path of the API, `/v1/realtime`, is added to it. `ws://` is for a service on this machine that `egress.allow` lists.";
    "agents.elevenlabs_base_url", "TELEPATH_AGENTS_ELEVENLABS_BASE_URL", Kind::AgentUrl, Some("wss://api.elevenlabs.io"), "\"wss://api.eu.residency.elevenlabs.io\"",
        "Where ElevenLabs is reached. The signed URL of an agent is requested there over HTTPS; the agent itself may be at another host.";
    "agents.deepgram_base_url", "TELEPATH_AGENTS_DEEPGRAM_BASE_URL", Kind::AgentUrl, Some("wss://agent.deepgram.com"), "\"wss://agent.deepgram.com\"",
        "Where Deepgram is reached.";
    "agents.gemini_base_url", "TELEPATH_AGENTS_GEMINI_BASE_URL", Kind::AgentUrl, Some("wss://generativelanguage.googleapis.com"), "\"wss://generativelanguage.googleapis.com\"",
        "Where Gemini is reached.";
}
