//! `telepath keys presets`: manages presets.

use clap::{Args, Subcommand};
use telepath_client::{KeyPreset, UpdateKeyPreset};

use crate::cli::reach::{ApiArgs, with_client};
use crate::cli::{choices, output, pages};
use crate::exit::{Exit, Failure};

/// Subcommands of `keys presets`.
#[derive(Debug, Subcommand)]
pub(crate) enum PresetsCommand {
    /// List the presets of the account
    #[command(after_help = "Examples:\n  telepath keys presets list --data-dir data")]
    List(Box<ListArgs>),
    /// Update a preset; existing keys do not change
    #[command(
        after_help = "Examples:\n  telepath keys presets set monitoring --data-dir data --rate-limit 300\n  telepath keys presets set testing --data-dir data --scopes calls:read,trunks:read"
    )]
    Set(Box<SetArgs>),
    /// Reset a preset to its built-in definition
    #[command(after_help = "Examples:\n  telepath keys presets reset monitoring --data-dir data")]
    Reset(Box<ResetArgs>),
}

/// Arguments of `keys presets list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Arguments of `keys presets set`.
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Preset
    #[arg(value_parser = choices::editable_presets())]
    name: String,
    /// Scopes, comma-separated
    #[arg(long, value_name = "SCOPE,…", value_delimiter = ',', value_parser = choices::scopes())]
    scopes: Option<Vec<String>>,
    /// Rate limit in requests per minute
    #[arg(long, value_name = "PER_MINUTE")]
    rate_limit: Option<u32>,
    /// Print the preset as a JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `keys presets reset`.
#[derive(Debug, Args)]
pub(crate) struct ResetArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Preset
    #[arg(value_parser = choices::editable_presets())]
    name: String,
    /// Print the preset as a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: PresetsCommand) -> Result<(), Failure> {
    match command {
        PresetsCommand::List(args) => list(*args).await,
        PresetsCommand::Set(args) => set(*args).await,
        PresetsCommand::Reset(args) => reset(*args).await,
    }
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let presets = with_client(&args.api, async |client| Ok(client.list_key_presets().await?)).await?;
    if args.json { output::json(&presets) } else { print(&presets) }
}

async fn set(args: SetArgs) -> Result<(), Failure> {
    if args.scopes.is_none() && args.rate_limit.is_none() {
        return Err(Failure::new(Exit::Usage, "nothing to change").remedy("Pass --scopes or --rate-limit."));
    }
    let change = UpdateKeyPreset { scopes: args.scopes, rate_limit_per_minute: args.rate_limit };
    let preset =
        with_client(&args.api, async |client| Ok(client.update_key_preset(&args.name, &change).await?))
            .await?;
    if args.json { output::json(&preset) } else { print(&[preset]) }
}

async fn reset(args: ResetArgs) -> Result<(), Failure> {
    let presets = with_client(&args.api, async |client| {
        client.reset_key_preset(&args.name).await?;
        Ok(client.list_key_presets().await?)
    })
    .await?;
    let now: Vec<KeyPreset> = presets.into_iter().filter(|preset| preset.name == args.name).collect();
    if args.json { output::json(&now.first()) } else { print(&now) }
}

fn print(presets: &[KeyPreset]) -> Result<(), Failure> {
    let head = ["NAME", "LIMIT", "MODIFIED", "SCOPES"];
    pages::print(presets, false, "No presets.", head, |preset| {
        [
            preset.name.clone(),
            preset.rate_limit_per_minute.to_string(),
            if preset.modified { "yes" } else { "no" }.to_owned(),
            preset.scopes.join(" "),
        ]
    })
}
