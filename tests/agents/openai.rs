//! OpenAI Realtime.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::Agents;
use crate::calls::ensure_echo;
use crate::support::Outcome;
use crate::support::waiting::until;

const TONE: Duration = Duration::from_millis(1500);

async fn start(scenario: &str, connections: u32) -> anyhow::Result<Option<Agents>> {
    let members = json!({"ai_provider": "openai", "openai_api_key": "sk-0123456789abcd",
        "system_prompt": "Be brief.", "voice_id": "marin"});
    Agents::start("openai", scenario, connections, &members).await
}

#[tokio::test]
async fn audio_passes_through_and_the_session_has_the_settings_of_the_trunk() -> Outcome {
    let Some(mut agents) = start("turn", 1).await? else { return Ok(()) };
    ensure_echo(&agents.call(TONE).await?)?;
    let report = agents.mock.report().await?;
    let session = &report["notes"]["session"];
    assert_eq!(session["instructions"], "Be brief.", "{session}");
    assert_eq!(session["audio"]["output"]["voice"], "marin", "{session}");
    assert_eq!(session["audio"]["input"]["format"], json!({"type": "audio/pcmu"}), "{session}");
    let record = agents.record().await?;
    assert_eq!(record["status"], "disconnected", "{record}");
    let turns = record["turns"].as_array().context("turns")?;
    assert!(turns.iter().any(|turn| turn["speaker"] == "agent"), "{record}");
    Ok(())
}

#[tokio::test]
async fn a_call_is_answered_when_the_provider_says_that_the_session_is_ready() -> Outcome {
    let Some(mut agents) = start("slow", 1).await? else { return Ok(()) };
    let outcome = agents.call(TONE).await?;
    ensure_echo(&outcome)?;
    assert!(outcome.answered_after >= Duration::from_millis(700), "{:?}", outcome.answered_after);
    agents.mock.report().await?;
    Ok(())
}

#[tokio::test]
async fn the_greeting_of_the_trunk_is_requested_when_the_session_is_ready() -> Outcome {
    let Some(mut agents) = start("greeting", 1).await? else { return Ok(()) };
    let change = json!({"greeting": "Good morning."});
    agents.change(&change).await?;
    ensure_echo(&agents.call(TONE).await?)?;
    let report = agents.mock.report().await?;
    let instructions = report["notes"]["instructions"].as_str().context("instructions")?;
    assert!(instructions.contains("Good morning.") && instructions.contains("Be brief."), "{instructions}");
    Ok(())
}

#[tokio::test]
async fn an_interrupted_answer_is_truncated_at_what_the_caller_heard_and_its_late_audio_is_dropped() -> Outcome
{
    let Some(mut agents) = start("interruption", 1).await? else { return Ok(()) };
    let outcome = agents.call(Duration::from_secs(3)).await?;
    ensure!(outcome.answered(), "{:?}", outcome.status);
    let report = agents.mock.report().await?;
    let [item, index, heard] = report["notes"]["truncate"].as_array().context("no truncate")?.as_slice()
    else {
        anyhow::bail!("{report}");
    };
    assert_eq!((item, index), (&json!("item_1"), &json!(0)), "{report}");
    // Half a second of the caller's audio had arrived meanwhile.
    let heard = heard.as_u64().context("milliseconds")?;
    assert!((1..9000).contains(&heard), "{report}");
    let record = agents.record().await?;
    let counts = &record["metrics"]["counts"];
    let cleared = counts["playout_cleared_ms"].as_u64().context("cleared")?;
    assert!(cleared > 0 && cleared <= 10_000 - heard + 100, "{heard} ms heard: {counts}");
    Ok(())
}

#[tokio::test]
async fn malformed_and_unknown_frames_do_not_disturb_the_conversation() -> Outcome {
    let Some(mut agents) = start("malformed", 1).await? else { return Ok(()) };
    ensure_echo(&agents.call(TONE).await?)?;
    agents.mock.report().await?;
    Ok(())
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_of_an_answer_ends_the_call() -> Outcome {
    let Some(mut agents) = start("drop", 1).await? else { return Ok(()) };
    let outcome = agents.call(Duration::from_secs(20)).await?;
    ensure!(outcome.answered(), "{:?}", outcome.status);
    agents.mock.report().await?;
    let record = agents.record().await?;
    assert_eq!(
        (&record["status"], &record["disconnect_reason"]),
        (&json!("disconnected"), &json!("ai_provider_error"))
    );
    Ok(())
}

/// Three calls that do not reach the agent; returns the reason in the trunk's status.
async fn unreachable(scenario: &str) -> anyhow::Result<Option<String>> {
    let Some(mut agents) = start(scenario, 3).await? else { return Ok(None) };
    for _ in 0..3 {
        let outcome = agents.call(TONE).await?;
        assert_eq!(outcome.status.code(), 480);
        agents.mock.report().await?;
    }
    let trunk = until("the status of the trunk", || async {
        let trunk = agents.trunk_now().await?;
        Ok((trunk["status"] == "error").then_some(trunk))
    })
    .await?;
    let reason = trunk["status_reason"].as_str().context("status_reason")?.to_owned();
    let record = agents.record().await?;
    assert_eq!(record["disconnect_reason"], "connection_failed", "{record}");
    assert!(!reason.contains("sk-0123"), "{reason}");
    drop(agents.server);
    Ok(Some(reason))
}

#[tokio::test]
async fn a_provider_that_refuses_the_key_is_named_in_the_status_of_the_trunk() -> Outcome {
    let Some(reason) = unreachable("401").await? else { return Ok(()) };
    assert!(reason.contains("HTTP 401: it does not accept the credentials"), "{reason}");
    Ok(())
}

#[tokio::test]
async fn an_exhausted_rate_limit_and_quota_are_named_in_the_status_of_the_trunk() -> Outcome {
    let Some(reason) = unreachable("429").await? else { return Ok(()) };
    assert!(reason.contains("HTTP 429: a rate limit or quota is exhausted"), "{reason}");
    let Some(reason) = unreachable("quota").await? else { return Ok(()) };
    assert!(reason.contains("insufficient_quota: You exceeded your quota."), "{reason}");
    Ok(())
}

#[tokio::test]
async fn an_agent_that_is_gone_puts_the_trunk_in_error_until_its_owner_activates_it() -> Outcome {
    let Some(mut agents) = start("turn", 1).await? else { return Ok(()) };
    ensure_echo(&agents.call(TONE).await?)?;
    agents.mock.report().await?;
    for _ in 0..3 {
        assert_eq!(agents.call(TONE).await?.status.code(), 480, "the mock has ended");
    }
    let failed = until("the status of the trunk", || async {
        let trunk = agents.trunk_now().await?;
        Ok((trunk["status"] == "error").then_some(trunk))
    })
    .await?;
    assert!(failed["status_reason"].as_str().context("reason")?.contains("could not be reached"), "{failed}");
    // Whoever has repaired the agent may also say so.
    let active = agents.change(&json!({"status": "active"})).await?;
    assert_eq!((&active["status"], &active["status_reason"]), (&json!("active"), &Value::Null));
    Ok(())
}
