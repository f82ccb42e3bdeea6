//! Gemini Live.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;

use super::Agents;
use crate::support::Outcome;

async fn start(scenario: &str) -> anyhow::Result<Option<Agents>> {
    let members = json!({"ai_provider": "gemini", "gemini_api_key": "gm+0123456789/abcd=",
        "system_prompt": "Be brief.", "model": "gemini-test", "voice_id": "Puck"});
    Agents::start("gemini", scenario, 1, &members).await
}

#[tokio::test]
async fn audio_is_converted_to_16_khz_and_from_24_khz() -> Outcome {
    let Some(mut agents) = start("turn").await? else { return Ok(()) };
    let outcome = agents.call(Duration::from_millis(1500)).await?;
    ensure!(outcome.answered(), "{:?}", outcome.status);
    let report = agents.mock.report().await?;
    let setup = &report["notes"]["setup"];
    assert_eq!(setup["model"], "models/gemini-test", "{report}");
    assert_eq!(setup["system_instruction"]["parts"][0]["text"], "Be brief.", "{report}");
    // 20 ms of 16 kHz.
    assert_eq!(report["notes"]["input"], json!(["audio/pcm;rate=16000", 640]), "{report}");
    // The answer has one constant level.
    let loud = outcome.recording.iter().filter(|sample| sample.abs() > 4000).count();
    assert!(loud > 4000, "{loud} samples of the answer were heard");
    Ok(())
}

#[tokio::test]
async fn an_interruption_flushes_the_queue() -> Outcome {
    let Some(mut agents) = start("interruption").await? else { return Ok(()) };
    agents.check_interrupted_call().await
}
