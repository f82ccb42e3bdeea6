//! ElevenLabs Agents.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::Agents;
use crate::calls::ensure_echo;
use crate::support::Outcome;

const TONE: Duration = Duration::from_millis(1500);

async fn start(scenario: &str, more: &Value) -> anyhow::Result<Option<Agents>> {
    let mut members = json!({"ai_provider": "elevenlabs", "elevenlabs_api_key": "xi-0123456789abcd",
        "elevenlabs_agent_id": "agent_1"});
    if let (Some(members), Some(more)) = (members.as_object_mut(), more.as_object()) {
        members.extend(more.clone());
    }
    Agents::start("elevenlabs", scenario, 1, &members).await
}

#[tokio::test]
async fn the_agent_is_reached_by_its_signed_url_and_gets_the_settings_of_the_trunk_as_overrides() -> Outcome {
    let settings = json!({"system_prompt": "Be brief.", "greeting": "Good morning.", "voice_id": "voice_1"});
    let Some(mut agents) = start("turn", &settings).await? else { return Ok(()) };
    ensure_echo(&agents.call(TONE).await?)?;
    let report = agents.mock.report().await?;
    let overrides = &report["notes"]["data"]["conversation_config_override"];
    assert_eq!(overrides["agent"]["prompt"]["prompt"], "Be brief.", "{report}");
    assert_eq!(overrides["agent"]["first_message"], "Good morning.", "{report}");
    assert_eq!(overrides["tts"]["voice_id"], "voice_1", "{report}");
    assert_eq!(report["notes"]["pong"], 7, "{report}");
    Ok(())
}

#[tokio::test]
async fn an_interruption_flushes_the_queue_and_the_late_audio_of_its_event_is_dropped() -> Outcome {
    let Some(mut agents) = start("interruption", &json!({})).await? else { return Ok(()) };
    agents.check_interrupted_call().await
}

#[tokio::test]
async fn malformed_and_unknown_frames_do_not_disturb_the_conversation() -> Outcome {
    let Some(mut agents) = start("malformed", &json!({})).await? else { return Ok(()) };
    ensure_echo(&agents.call(TONE).await?)?;
    agents.mock.report().await?;
    Ok(())
}

#[tokio::test]
async fn a_connection_that_breaks_ends_the_call_with_an_error_and_one_that_is_closed_without() -> Outcome {
    for (scenario, reason) in [("drop", "ai_provider_error"), ("hangup", "agent_hangup")] {
        let Some(mut agents) = start(scenario, &json!({})).await? else { return Ok(()) };
        let outcome = agents.call(Duration::from_secs(20)).await?;
        ensure!(outcome.answered(), "{:?}", outcome.status);
        agents.mock.report().await?;
        assert_eq!(agents.record().await?["disconnect_reason"], reason);
    }
    Ok(())
}

#[tokio::test]
async fn a_key_that_gets_no_signed_url_is_a_reason_in_the_record() -> Outcome {
    let wrong = json!({"elevenlabs_api_key": "xi-of-somebody-else"});
    let Some(agents) = start("turn", &wrong).await? else { return Ok(()) };
    assert_eq!(agents.call(TONE).await?.status.code(), 480);
    let record = agents.record().await?;
    let reason = record["reason_text"].as_str().context("reason_text")?;
    assert!(reason.contains("the request for a signed URL with HTTP 401"), "{reason}");
    assert!(!reason.contains("xi-of"), "{reason}");
    Ok(())
}
