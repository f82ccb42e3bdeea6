//! Agents written for Twilio Media Streams.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::Agents;
use crate::calls::ensure_echo;
use crate::support::Outcome;

async fn start(scenario: &str) -> anyhow::Result<Option<Agents>> {
    Agents::start_custom(
        "twilio",
        scenario,
        &json!({"agent_protocol": "twilio", "metadata": {"team": "support"}}),
    )
    .await
}

#[tokio::test]
async fn an_agent_written_for_twilio_hears_and_answers_the_caller_and_its_marks_return() -> Outcome {
    let Some(mut agents) = start("turn").await? else { return Ok(()) };
    ensure_echo(&agents.call(Duration::from_millis(1500)).await?)?;
    let report = agents.mock.report().await?;
    let start = &report["notes"]["start"];
    let format = json!({"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1});
    assert_eq!((&start["mediaFormat"], &start["tracks"]), (&format, &json!(["inbound"])), "{report}");
    assert_eq!(start["customParameters"]["team"], "support", "{report}");
    assert_eq!(report["notes"]["stop"]["callSid"], start["callSid"], "{report}");
    let played = report["notes"]["played"].as_array().context("played")?;
    assert!(played.len() > 3 && played[0] == "m10" && played[1] == "m20", "{report}");
    Ok(())
}

#[tokio::test]
async fn cleared_audio_is_not_played_and_its_mark_returns_at_once() -> Outcome {
    let Some(mut agents) = start("clear").await? else { return Ok(()) };
    let outcome = agents.call(Duration::from_secs(20)).await?;
    ensure!(outcome.answered(), "{:?}", outcome.status);
    let report = agents.mock.report().await?;
    assert_eq!(report["notes"]["mark"], "end", "{report}");
    let record = agents.record().await?;
    assert_eq!(record["disconnect_reason"], "agent_hangup", "{record}");
    let cleared = record["metrics"]["counts"]["playout_cleared_ms"].as_u64().context("cleared")?;
    assert!(cleared > 0 && cleared < 10_000, "{record}");
    Ok(())
}
