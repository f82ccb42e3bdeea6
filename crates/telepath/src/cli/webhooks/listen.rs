//! `telepath webhooks listen`: forwards events to a local program, signed like real deliveries. The server does not need to
//! reach the program: the command creates a disabled endpoint, reads its held deliveries through the API, posts them itself,
//! and deletes the endpoint when it ends.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use telepath_client::{
    Client, CreateWebhook, DeliveriesQuery, Delivery, DeliveryId, SecretText, Timestamp, WebhookId,
};
use telepath_core::clock::{Clock as _, SystemClock};
use telepath_core::webhook::WebhookUrl;
use telepath_core::webhook::delivery::Outcome;
use telepath_core::webhook::signature::SigningSecret;
use telepath_egress::{AllowList, Egress, Security};

use crate::cli::output;
use crate::cli::reach::{Api, ApiArgs};
use crate::deliveries::post::{self, Destination, Message, Timeouts};
use crate::exit::{Exit, Failure};
use crate::signals;

pub(super) const EXAMPLES: &str = "\
Examples:
  telepath webhooks listen --forward-to http://127.0.0.1:3000/hook --data-dir data
  telepath webhooks listen --forward-to http://localhost:3000 --events call.started,call.ended --data-dir data
  telepath webhooks listen --forward-to http://localhost:3000 --api-url https://voice.example:8443

The signing secret is printed first. With --data-dir, a server must be running on the folder.";

/// `.invalid` never resolves (RFC 6761 section 6.4), so nothing can be sent here even if the endpoint is enabled.
const NOWHERE: &str = "https://listen.invalid/";
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How far back events are read again, because an earlier event can be committed later.
const LOOK_BACK: Duration = Duration::from_secs(10);
const PAGE: u32 = 100;

/// Arguments of `webhooks listen`.
#[derive(Debug, Args)]
pub(crate) struct ListenArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Target of the events: http:// on this machine, or https://
    #[arg(long, value_name = "URL")]
    forward_to: String,
    /// Event names, comma-separated [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    events: Vec<String>,
}

/// Runs the command.
pub(super) async fn run(args: ListenArgs) -> Result<(), Failure> {
    let target = Target::parse(&args.forward_to)?;
    let api = Api::open(&args.api).await?;
    let done = if api.is_alone() {
        Err(Failure::plain("no server runs on this folder, so there are no events")
            .remedy("Start one with `telepath serve`, then run this command again."))
    } else {
        listen(api.client(), &target, args.events).await
    };
    api.close().await;
    done
}

async fn listen(client: &Client, target: &Target, events: Vec<String>) -> Result<(), Failure> {
    let stop = signals::stop_token()?;
    let request = CreateWebhook {
        description: Some("telepath webhooks listen".to_owned()),
        events: Some(events).filter(|events| !events.is_empty()),
        status: Some("disabled".to_owned()),
        ..CreateWebhook::new(NOWHERE)
    };
    let made = client.create_webhook(&request).await?;
    let forwarding = forward(client, target, made.webhook.id, made.secret.as_ref());
    let ended = tokio::select! {
        ended = forwarding => ended,
        () = stop.cancelled() => Ok(()),
    };
    client.delete_webhook(made.webhook.id).await?;
    ended
}

async fn forward(
    client: &Client,
    target: &Target,
    webhook: WebhookId,
    secret: Option<&SecretText>,
) -> Result<(), Failure> {
    let secret = secret.ok_or_else(|| Failure::plain("the server returned no secret"))?;
    output::line(&format_args!("Secret {}", secret.expose()))?;
    output::line(&"Waiting for events. Press Ctrl-C to stop.")?;
    let secrets = [SigningSecret::parse(secret).map_err(|error| Failure::plain(error.to_string()))?];
    let mut seen = Seen::default();
    let mut pace = tokio::time::interval(LOOK_EVERY);
    loop {
        pace.tick().await;
        for delivery in seen.new_ones(client, webhook).await? {
            let outcome = target.post(client, &delivery, &secrets).await?;
            let what = match (outcome.status, outcome.error) {
                (Some(status), _) => status.to_string(),
                (None, Some(error)) => error.name().to_owned(),
                (None, None) => "-".to_owned(),
            };
            output::line(&format_args!(
                "{} {} {} -> {what}",
                delivery.created_at, delivery.event, delivery.event_id
            ))?;
        }
    }
}

/// The deliveries that were already forwarded.
#[derive(Default)]
struct Seen {
    /// Deliveries before this are not read again.
    settled: Option<DeliveryId>,
    recent: BTreeSet<(Timestamp, DeliveryId)>,
}

impl Seen {
    async fn new_ones(&mut self, client: &Client, webhook: WebhookId) -> Result<Vec<Delivery>, Failure> {
        let mut new = Vec::new();
        let mut cursor = self.settled.map(|id| id.to_string());
        loop {
            let query = DeliveriesQuery {
                sort: Some("created_at".to_owned()),
                limit: Some(PAGE),
                cursor,
                ..DeliveriesQuery::default()
            };
            let page = client.list_deliveries(webhook, &query).await?;
            new.extend(
                page.items.into_iter().filter(|found| self.recent.insert((found.created_at, found.id))),
            );
            cursor = page.pagination.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        self.settle();
        Ok(new)
    }

    /// Drops entries that are too old to be preceded by new ones.
    fn settle(&mut self) {
        let Some((newest, _)) = self.recent.last().copied() else { return };
        while let Some((at, id)) =
            self.recent.first().copied().filter(|(at, _)| *at < newest.minus(LOOK_BACK))
        {
            self.settled = Some(id);
            self.recent.remove(&(at, id));
        }
    }
}

/// The target of forwarded events.
struct Target {
    egress: Egress,
    destination: Destination,
}

impl Target {
    fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = || {
            Failure::new(
                Exit::Usage,
                "--forward-to must be an http:// URL on this machine or an https:// URL",
            )
        };
        let (security, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (Security::Plain, rest),
            (None, Some(rest)) => (Security::Tls, rest),
            (None, None) => return Err(wrong()),
        };
        let url = WebhookUrl::try_from(format!("https://{rest}")).map_err(|_| wrong())?;
        let mut destination = Destination { security, ..Destination::from(&url) };
        let says_port = url.authority().ends_with(&format!(":{}", url.port()));
        if security == Security::Plain && !says_port {
            destination.port = 80;
        }
        let named = match &*destination.host {
            host if host.contains(':') => format!("[{host}]:{}", destination.port),
            host => format!("{host}:{}", destination.port),
        };
        // Only a host of this machine is added to the allowed destinations.
        let allow = match named.parse::<AllowList>() {
            Ok(allow) => allow,
            Err(_) if security == Security::Tls => AllowList::default(),
            Err(_) => return Err(wrong()),
        };
        Ok(Self { egress: Egress::new(allow), destination })
    }

    async fn post(
        &self,
        client: &Client,
        delivery: &Delivery,
        secrets: &[SigningSecret],
    ) -> Result<Outcome, Failure> {
        let whole = client.get_delivery(delivery.id).await?;
        let message = Message {
            id: delivery.event_id.to_string(),
            attempt: 1,
            body: whole.payload.get().to_owned(),
            at: SystemClock.now(),
        };
        Ok(post::post(&self.egress, &self.destination, message, secrets, Timeouts::default()).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_targets_must_be_on_this_machine() {
        for (text, host, port, path) in [
            ("http://127.0.0.1:3000/hook", "127.0.0.1", 3000, "/hook"),
            ("http://localhost", "localhost", 80, "/"),
            ("http://[::1]:3000/?a=b", "::1", 3000, "/?a=b"),
            ("https://hooks.example/x", "hooks.example", 443, "/x"),
            ("https://localhost:8443", "localhost", 8443, "/"),
        ] {
            let target = Target::parse(text).unwrap_or_else(|failure| panic!("{text}: {failure}"));
            let Destination { host: found, port: on, path_and_query, .. } = target.destination;
            assert_eq!((&*found, on, &*path_and_query), (host, port, path), "{text}");
        }
        for wrong in
            ["http://hooks.example/", "http://10.0.0.1/", "ftp://127.0.0.1/", "127.0.0.1:3000", "http://"]
        {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }
}
