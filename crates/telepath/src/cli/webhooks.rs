//! `telepath webhooks`: endpoints and their deliveries.

mod deliveries;
mod endpoints;
mod listen;
mod update;

use clap::{Args, Subcommand};
use telepath_client::WebhookId;

use super::reach::ApiArgs;
use crate::exit::Failure;

/// Subcommands of `webhooks`.
#[derive(Debug, Subcommand)]
pub(crate) enum WebhooksCommand {
    /// Create an endpoint; its signing secret is printed once, on standard output
    #[command(after_help = endpoints::CREATE_EXAMPLES)]
    Create(Box<endpoints::CreateArgs>),
    /// List the endpoints of the account
    #[command(after_help = "Examples:\n  telepath webhooks list --data-dir data --json")]
    List(Box<ListArgs>),
    /// Show an endpoint
    #[command(
        after_help = "Examples:\n  telepath webhooks show whk_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data"
    )]
    Show(Box<OneArgs>),
    /// Update, enable or disable an endpoint
    #[command(after_help = update::EXAMPLES)]
    Update(Box<update::UpdateArgs>),
    /// Delete an endpoint and its deliveries
    #[command(
        after_help = "Examples:\n  telepath webhooks delete whk_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data"
    )]
    Delete(Box<OneArgs>),
    /// Send a test event and wait for the result
    #[command(
        after_help = "Examples:\n  telepath webhooks test whk_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data"
    )]
    Test(Box<OneArgs>),
    /// Rotate the signing secret; the old one also signs during the grace period
    #[command(
        after_help = "Examples:\n  telepath webhooks rotate-secret whk_01k9v1n2xrf6t8g3m5q7w9y0za --grace 2h --data-dir data"
    )]
    RotateSecret(Box<endpoints::RotateArgs>),
    /// List the latest deliveries to an endpoint, or to all
    #[command(
        after_help = "Examples:\n  telepath webhooks deliveries whk_01k9v1n2xrf6t8g3m5q7w9y0za --status exhausted --data-dir data\n  telepath webhooks deliveries --call call_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data"
    )]
    Deliveries(Box<deliveries::DeliveriesArgs>),
    /// Show a delivery and its attempts
    #[command(
        after_help = "Examples:\n  telepath webhooks delivery dlv_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data"
    )]
    Delivery(Box<deliveries::DeliveryArgs>),
    /// Retry one delivery
    #[command(
        after_help = "Examples:\n  telepath webhooks redeliver dlv_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data"
    )]
    Redeliver(Box<deliveries::RedeliverArgs>),
    /// Retry all exhausted and held deliveries
    #[command(
        after_help = "Examples:\n  telepath webhooks recover whk_01k9v1n2xrf6t8g3m5q7w9y0za --since 24h --data-dir data"
    )]
    Recover(Box<deliveries::RecoverArgs>),
    /// Forward events to a local program until Ctrl-C
    #[command(after_help = listen::EXAMPLES)]
    Listen(Box<listen::ListenArgs>),
}

/// Arguments of `webhooks list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Arguments of commands about one endpoint.
#[derive(Debug, Args)]
pub(crate) struct OneArgs {
    /// Webhook id, whk_…
    id: WebhookId,
    #[command(flatten)]
    api: ApiArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs a command.
pub(crate) async fn run(command: WebhooksCommand) -> Result<(), Failure> {
    match command {
        WebhooksCommand::Create(args) => endpoints::create(*args).await,
        WebhooksCommand::List(args) => endpoints::list(*args).await,
        WebhooksCommand::Show(args) => endpoints::show(*args).await,
        WebhooksCommand::Update(args) => update::run(*args).await,
        WebhooksCommand::Delete(args) => endpoints::delete(*args).await,
        WebhooksCommand::Test(args) => deliveries::test(*args).await,
        WebhooksCommand::RotateSecret(args) => endpoints::rotate(*args).await,
        WebhooksCommand::Deliveries(args) => deliveries::list(*args).await,
        WebhooksCommand::Delivery(args) => deliveries::show(*args).await,
        WebhooksCommand::Redeliver(args) => deliveries::redeliver(*args).await,
        WebhooksCommand::Recover(args) => deliveries::recover(*args).await,
        WebhooksCommand::Listen(args) => listen::run(*args).await,
    }
}
