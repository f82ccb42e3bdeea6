//! `telepath keys presets`: the bundles that keys are made from.

use clap::{Args, Subcommand};
use telepath_client::{KeyPreset, KeyPresetChange};

use crate::cli::output;
use crate::cli::reach::{ApiArgs, with_client};
use crate::exit::{Exit, Failure};

/// What to do with presets.
#[derive(Debug, Subcommand)]
pub(crate) enum PresetsCommand {
    /// List the bundles of the account
    #[command(after_help = "Examples:\n  telepath keys presets list --data-dir data")]
    List(Box<ListArgs>),
    /// Change a bundle; keys that were made from it stay as they are
    #[command(
        after_help = "Examples:\n  telepath keys presets set monitoring --data-dir data --rate-limit 300\n  telepath keys presets set testing --data-dir data --scopes calls:read,trunks:read"
    )]
    Set(Box<SetArgs>),
    /// Bring back the built-in bundle
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
    /// Which bundle: production, development, testing or monitoring
    name: String,
    /// What keys made from it may do, separated by commas
    #[arg(long, value_name = "SCOPES", value_delimiter = ',')]
    scopes: Option<Vec<String>>,
    /// Their requests per minute
    #[arg(long, value_name = "PER_MINUTE")]
    rate_limit: Option<u32>,
    /// Print the bundle as a JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `keys presets reset`.
#[derive(Debug, Args)]
pub(crate) struct ResetArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Which bundle
    name: String,
    /// Print the bundle as a JSON object
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
    if args.json { output::json(&presets) } else { output::raw(table(&presets).as_bytes()) }
}

async fn set(args: SetArgs) -> Result<(), Failure> {
    if args.scopes.is_none() && args.rate_limit.is_none() {
        return Err(
            Failure::new(Exit::Usage, "nothing is to be changed").remedy("Give --scopes or --rate-limit.")
        );
    }
    let change = KeyPresetChange { scopes: args.scopes, rate_limit_per_minute: args.rate_limit };
    let preset =
        with_client(&args.api, async |client| Ok(client.update_key_preset(&args.name, &change).await?))
            .await?;
    if args.json { output::json(&preset) } else { output::raw(table(&[preset]).as_bytes()) }
}

async fn reset(args: ResetArgs) -> Result<(), Failure> {
    let presets = with_client(&args.api, async |client| {
        client.reset_key_preset(&args.name).await?;
        Ok(client.list_key_presets().await?)
    })
    .await?;
    let now: Vec<KeyPreset> = presets.into_iter().filter(|preset| preset.name == args.name).collect();
    if args.json { output::json(&now.first()) } else { output::raw(table(&now).as_bytes()) }
}

fn table(presets: &[KeyPreset]) -> String {
    let row = |preset: &KeyPreset| {
        vec![
            preset.name.clone(),
            preset.rate_limit_per_minute.to_string(),
            if preset.modified { "yes" } else { "no" }.to_owned(),
            preset.scopes.join(" "),
        ]
    };
    let head = ["NAME", "LIMIT", "CHANGED", "SCOPES"];
    output::table(&head, &presets.iter().map(row).collect::<Vec<_>>())
}
