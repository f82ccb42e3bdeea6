//! From the API call that causes an event to the delivered request.

use std::time::Duration;

use hyper::Method;
use hyper::header::HeaderName;
use serde_json::{Value, json};
use telepath_gateway::caller::{CallerOptions, place_call};
use telepath_gateway::echo_agent::EchoAgent;

use super::{Post, id_of};
use crate::support::http::Call;
use crate::support::output::note_secret;
use crate::support::sink::Sink;
use crate::support::waiting::until;
use crate::support::{Home, Outcome};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_delivered_and_its_delivery_listed() -> Outcome {
    let post = Post::start().await?;
    let hook = id_of(&post.webhook(json!({"events": ["key.created"]})).await?)?;
    let key = post.event().await?;
    let arrival = &post.sink.until(1).await?[0];
    let body = arrival.json();
    assert_eq!((&body["event"], &body["key_id"]), (&json!("key.created"), &json!(key)));
    assert_eq!(body["id"], arrival.header("webhook-id"));
    assert_eq!(arrival.header("x-telepath-attempt"), "1");
    let path = format!("/v1/webhooks/{hook}/deliveries?status=delivered");
    let list = until("the delivery is written down", || async {
        let list = post.get(&path).await?;
        Ok((list["pagination"]["total"] == 1).then_some(list))
    })
    .await?;
    let delivery = id_of(&list["deliveries"][0])?;
    let shown = post.get(&format!("/v1/deliveries/{delivery}")).await?;
    assert_eq!(shown["payload"], body);
    assert_eq!(
        (&shown["attempts"][0]["status"], &shown["attempts"][0]["response"]),
        (&json!(200), &json!("ok"))
    );
    post.post(&format!("/v1/deliveries/{delivery}/redeliver"), &json!({}), 202).await?;
    let again = &post.sink.until(2).await?[1];
    assert_eq!((again.header("webhook-id"), &again.body), (arrival.header("webhook-id"), &arrival.body));
    assert_eq!(post.server.metric("telepath_webhook_attempts_total").await?, Some(2.0));
    Ok(())
}

/// Sends a request twice with one `Idempotency-Key`. Returns both responses.
async fn twice(post: &Post, path: &str, body: &Value, status: u16) -> anyhow::Result<(Value, Value)> {
    let call = || {
        let call = Call::new(Method::POST, path).key(&post.key);
        call.header(IDEMPOTENCY_KEY, path).json(body)
    };
    let first = post.client.send(call()).await?.expect(status)?;
    let again = post.client.send(call()).await?;
    assert_eq!(again.header("idempotent-replayed"), Some("true"), "{path}");
    Ok((first, again.expect(status)?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_webhook_requests_with_one_idempotency_key_take_effect_once() -> Outcome {
    let post = Post::start().await?;
    let draft = json!({"url": post.sink.url(), "events": ["webhook.test"]});
    let (made, again) = twice(&post, "/v1/webhooks", &draft, 201).await?;
    made["secret"].as_str().into_iter().for_each(note_secret);
    assert_eq!((&again["id"], &again["secret_withheld"]), (&made["id"], &json!(true)));
    assert_eq!(again.get("secret"), None);
    assert_eq!(post.get("/v1/webhooks").await?["pagination"]["total"], 1);
    let path = format!("/v1/webhooks/{}", id_of(&made)?);
    let (rotated, again) = twice(&post, &format!("{path}/rotate-secret"), &json!({}), 200).await?;
    rotated["secret"].as_str().into_iter().for_each(note_secret);
    assert_eq!((again.get("secret"), &again["secret_withheld"]), (None, &json!(true)));
    let (tested, again) = twice(&post, &format!("{path}/test"), &json!({}), 202).await?;
    assert_eq!(tested, again);
    let arrival = &post.sink.until(1).await?[0];
    assert_eq!(arrival.header("webhook-signature").split(' ').count(), 2, "one rotation, not two");
    let delivered = format!("{path}/deliveries?status=delivered");
    let all_delivered = async |attempts: u32| {
        until("the delivery is written down", || async {
            let list = post.get(&delivered).await?;
            Ok((list["deliveries"][0]["attempt_count"] == attempts).then_some(list))
        })
        .await
    };
    assert_eq!(all_delivered(1).await?["pagination"]["total"], 1, "one test event, not two");
    let redeliver = format!("/v1/deliveries/{}/redeliver", id_of(&tested)?);
    let (asked, again) = twice(&post, &redeliver, &json!({}), 202).await?;
    assert_eq!(asked, again);
    all_delivered(2).await?;
    let since = json!({"since": "2020-01-01T00:00:00Z"});
    let (recovered, again) = twice(&post, &format!("{path}/recover"), &since, 200).await?;
    assert_eq!((&recovered["deliveries"], &recovered), (&json!(0), &again));
    assert_eq!(post.sink.arrivals().len(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_responds_410_is_disabled_and_can_recover() -> Outcome {
    let post = Post::start().await?;
    let hook = id_of(&post.webhook(json!({"events": ["key.created"]})).await?)?;
    let path = format!("/v1/webhooks/{hook}");
    post.sink.answer(410);
    post.event().await?;
    until("the endpoint is disabled", || async {
        Ok((post.get(&path).await?["disabled_reason"] == "gone").then_some(()))
    })
    .await?;
    post.event().await?;
    assert_eq!(post.get(&format!("{path}/deliveries?status=held")).await?["pagination"]["total"], 2);
    post.sink.answer(204);
    let call = Call::new(Method::PATCH, &path).key(&post.key);
    post.client.send(call.json(&json!({"status": "active"}))).await?.expect(200)?;
    let since = json!({"since": "2020-01-01T00:00:00Z"});
    assert_eq!(post.post(&format!("{path}/recover"), &since, 200).await?["deliveries"], 2);
    let arrivals = post.sink.until(3).await?;
    assert_eq!(arrivals[1].header("x-telepath-attempt").len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_call_have_gap_free_sequence_numbers() -> Outcome {
    let agent = EchoAgent::start("127.0.0.1:0".parse()?).await?;
    let home = Home::new();
    let sink = Sink::start(&home.beside("")).await?;
    let home = home.with_env("SSL_CERT_FILE", &sink.authority.to_string_lossy());
    let allow = format!("127.0.0.1:{},{}", sink.port, agent.addr());
    let server = home.start_with(&["--egress-allow", &allow]).await?;
    let (client, key) = (server.client()?, server.admin_key().await?.secret);
    let trunk = crate::calls::create_trunk(&client, &key, "support-01", &agent.url()).await?;
    let draft = json!({"url": sink.url(), "trunk_ids": [trunk.id], "events": ["call.started", "agent.connected",
        "agent.disconnected", "call.ended"]});
    client.post("/v1/webhooks", &key, &draft).await?.expect(201)?;
    let mut options = CallerOptions::new(&trunk.uri)?;
    options.credentials =
        Some((trunk.username.clone(), telepath_core::secret::SecretText::new(trunk.password.clone())));
    options.play = vec![0; 1600];
    options.listen = Duration::from_millis(100);
    assert!(place_call(options).await?.answered());
    let mut events: Vec<_> = sink.until(4).await?.iter().map(crate::support::sink::Arrival::json).collect();
    events.sort_by_key(|event| event["sequence"].as_u64());
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap_or_default()).collect();
    assert_eq!((names[0], names[3]), ("call.started", "call.ended"), "{names:?}");
    for (event, number) in events.iter().zip(1..) {
        assert_eq!((&event["sequence"], &event["connection_id"]), (&json!(number), &json!(trunk.id)));
    }
    Ok(())
}
