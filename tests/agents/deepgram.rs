//! The Deepgram Voice Agent.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use super::Agents;
use crate::calls::ensure_echo;
use crate::support::Outcome;

const TONE: Duration = Duration::from_millis(1500);

async fn start(scenario: &str) -> anyhow::Result<Option<Agents>> {
    let members = json!({"ai_provider": "deepgram", "deepgram_api_key": "dg-0123456789abcd",
        "system_prompt": "Be brief.", "greeting": "Good morning.", "voice_id": "aura-2-thalia-en"});
    Agents::start("deepgram", scenario, 1, &members).await
}

#[tokio::test]
async fn audio_passes_through_and_the_settings_are_those_of_the_trunk() -> Outcome {
    let Some(mut agents) = start("turn").await? else { return Ok(()) };
    ensure_echo(&agents.call(TONE).await?)?;
    let report = agents.mock.report().await?;
    let settings = &report["notes"]["settings"];
    assert_eq!(settings["audio"]["input"], json!({"encoding": "mulaw", "sample_rate": 8000}), "{report}");
    assert_eq!(settings["agent"]["greeting"], "Good morning.", "{report}");
    assert_eq!(settings["agent"]["think"]["prompt"], "Be brief.", "{report}");
    Ok(())
}

#[tokio::test]
async fn a_caller_who_starts_to_speak_interrupts_the_agent() -> Outcome {
    let Some(mut agents) = start("interruption").await? else { return Ok(()) };
    agents.check_interrupted_call().await
}

#[tokio::test]
async fn settings_that_are_not_accepted_are_a_reason_in_the_record() -> Outcome {
    let Some(mut agents) = start("refusal").await? else { return Ok(()) };
    assert_eq!(agents.call(TONE).await?.status.code(), 480);
    agents.mock.report().await?;
    let record = agents.record().await?;
    assert_eq!(record["disconnect_reason"], "connection_failed", "{record}");
    let reason = record["reason_text"].as_str().context("reason_text")?;
    assert!(reason.contains("The model is unknown."), "{reason}");
    Ok(())
}
