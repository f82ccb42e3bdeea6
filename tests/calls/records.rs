//! Call records.

use std::time::Duration;

use anyhow::Context as _;
use telepath_core::secret::SecretText;
use telepath_gateway::caller::place_call;

use super::{CallFixture, create_trunk, ensure_echo};
use crate::support::Outcome;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_reaches_the_agent_and_its_metrics_are_recorded() -> Outcome {
    let fixture = CallFixture::start().await?;
    let outcome = place_call(fixture.call(Duration::from_secs(2))?).await?;
    ensure_echo(&outcome)?;

    let list = fixture.calls("").await?;
    assert_eq!(list["pagination"]["total"], 1, "{list}");
    let call = fixture.record(list["calls"][0]["id"].as_str().context("id")?).await?;
    assert_eq!(call["status"], "disconnected", "{call}");
    assert_eq!(call["disconnect_reason"], "normal_disconnect", "{call}");
    assert_eq!(call["direction"], "inbound", "{call}");
    assert_eq!(call["trunk_id"], fixture.trunk.id.as_str(), "{call}");
    assert_eq!(call["to"], "support-01", "{call}");
    assert!(call["duration_seconds"].as_u64().is_some_and(|seconds| (2..=20).contains(&seconds)), "{call}");
    for moment in ["start_time", "answer_time", "end_time"] {
        assert!(call[moment].as_str().is_some_and(|text| text.ends_with('Z')), "{moment}: {call}");
    }
    let metrics = &call["metrics"];
    assert_eq!(metrics["codec_used"], "PCMU", "{call}");
    assert!(metrics["gateway_processing_ms"].is_u64(), "{call}");
    assert!(metrics["packet_loss_percent"].as_f64().is_some_and(|loss| loss < 5.0), "{call}");
    assert!(metrics["mos"].as_f64().is_some_and(|mos| (1.0..=4.6).contains(&mos)), "{call}");
    assert!(call["turns"].is_array(), "{call}");

    let trace = call["sip_trace"].as_str().context("sip_trace")?;
    for word in ["INVITE ", "Authorization: [redacted]", "200 OK", "ACK ", "BYE "] {
        assert!(trace.contains(word), "{word} is missing in {trace}");
    }
    assert!(!trace.contains(&fixture.trunk.password));
    let responses = trace.split("response=\"").skip(1).filter_map(|rest| rest.split('"').next());
    for response in responses {
        let is_digest = response.len() >= 32 && response.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(!is_digest, "the trace contains a digest response: {trace}");
    }

    let path = format!("/v1/trunks/{}", fixture.trunk.id);
    let trunk = fixture.client.get(&path, &fixture.key).await?.expect(200)?;
    assert_eq!(trunk["metrics"]["calls_today"], 1, "{trunk}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_and_an_unknown_user_get_the_same_response() -> Outcome {
    let fixture = CallFixture::start().await?;
    let mut wrong = fixture.call(Duration::from_millis(100))?;
    wrong.credentials =
        Some((fixture.trunk.username.clone(), SecretText::new("not the password".to_owned())));
    let wrong = place_call(wrong).await?;
    let mut unknown = fixture.call(Duration::from_millis(100))?;
    let uri = fixture.trunk.uri.replace(&fixture.trunk.username, "nobody-01");
    unknown.target = telepath_gateway::caller::CallerOptions::new(&uri)?.target;
    unknown.credentials = Some(("nobody-01".to_owned(), SecretText::new("not the password".to_owned())));
    let unknown = place_call(unknown).await?;
    assert!(!wrong.answered() && !unknown.answered());
    assert_eq!((wrong.status, &wrong.reason_phrase), (unknown.status, &unknown.reason_phrase));
    assert_eq!(fixture.calls("status=connected").await?["pagination"]["total"], 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_agent_is_refused_with_480_and_recorded_as_failed() -> Outcome {
    // A free port on which nothing listens.
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let fixture = CallFixture::start_with_agents(&[&closed.to_string()]).await?;
    let trunk = create_trunk(&fixture.client, &fixture.key, "no-agent", &format!("ws://{closed}/")).await?;
    let mut options = telepath_gateway::caller::CallerOptions::new(&trunk.uri)?;
    options.credentials = Some((trunk.username.clone(), SecretText::new(trunk.password.clone())));
    let outcome = place_call(options).await?;
    assert!(!outcome.answered());
    assert_eq!(outcome.status.code(), 480, "{:?}", outcome.reason_phrase);
    let list = crate::support::waiting::until("the failed call is recorded", || async {
        let list = fixture.calls("status=failed").await?;
        Ok((list["pagination"]["total"] == 1).then_some(list))
    })
    .await?;
    assert_eq!(list["calls"][0]["disconnect_reason"], "connection_failed", "{list}");
    assert!(list["calls"][0]["answer_time"].is_null(), "{list}");
    Ok(())
}
