//! `telepath keys`: the whole life of API keys, on a data folder with or without a running server, or on a server
//! elsewhere.

mod create;
mod list;
mod presets;
mod revoke;
mod rotate;
mod show;
mod update;
mod usage;

use clap::Subcommand;
use serde_json::{Value, json};
use telepath_client::{CreatedKey, Key, KeysQuery};

pub(crate) use rotate::{all_as_json, secrets_table};

use super::output;
use crate::exit::Failure;

/// The largest page that the API gives.
const PAGE: u32 = 100;
/// Keys that are walked for one command at most; an account that has more is looked at through filters.
const MOST_KEYS: usize = 100_000;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key; its secret is printed once, to standard output
    #[command(after_help = create::EXAMPLES)]
    Create(Box<create::CreateArgs>),
    /// List the keys of the account
    #[command(after_help = list::EXAMPLES)]
    List(Box<list::ListArgs>),
    /// Show a key with its secrets, never in full, and who still uses an old one
    #[command(after_help = show::EXAMPLES)]
    Show(Box<show::ShowArgs>),
    /// Change a key's name, rights, limit, networks or end
    #[command(after_help = update::EXAMPLES)]
    Update(Box<update::UpdateArgs>),
    /// Give a key a new secret, printed once; the old one works until the grace has passed
    #[command(after_help = rotate::EXAMPLES)]
    Rotate(Box<rotate::RotateArgs>),
    /// Give every usable key a new secret, all or none
    #[command(after_help = rotate::ALL_EXAMPLES)]
    RotateAll(Box<rotate::RotateAllArgs>),
    /// End an old secret of a key before its grace does
    #[command(after_help = rotate::END_EXAMPLES)]
    EndSecret(Box<rotate::EndSecretArgs>),
    /// Revoke a key at once
    #[command(after_help = revoke::EXAMPLES)]
    Revoke(Box<revoke::RevokeArgs>),
    /// Show how much a key is used, on which routes and from where
    #[command(after_help = usage::EXAMPLES)]
    Usage(Box<usage::UsageArgs>),
    /// See and change the bundles that keys are made from
    #[command(subcommand)]
    Presets(presets::PresetsCommand),
}

/// Runs a command.
pub(crate) async fn run(command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::Create(args) => create::run(*args).await,
        KeysCommand::List(args) => list::run(*args).await,
        KeysCommand::Show(args) => show::run(*args).await,
        KeysCommand::Update(args) => update::run(*args).await,
        KeysCommand::Rotate(args) => rotate::one(*args).await,
        KeysCommand::RotateAll(args) => rotate::all(*args).await,
        KeysCommand::EndSecret(args) => rotate::end_secret(*args).await,
        KeysCommand::Revoke(args) => revoke::run(*args).await,
        KeysCommand::Usage(args) => usage::run(*args).await,
        KeysCommand::Presets(command) => presets::run(command).await,
    }
}

/// A key as JSON with the secret that was just made.
pub(crate) fn with_secret(created: &CreatedKey) -> Result<Value, Failure> {
    let mut value =
        serde_json::to_value(&created.key).map_err(|error| Failure::doing("cannot write JSON", &error))?;
    if let Some(object) = value.as_object_mut() {
        object.insert("secret".to_owned(), json!(created.secret.expose()));
    }
    Ok(value)
}

/// Every key that a query finds.
pub(crate) async fn all(client: &telepath_client::Client, query: &KeysQuery) -> Result<Vec<Key>, Failure> {
    let mut keys: Vec<Key> = Vec::new();
    loop {
        let offset = u32::try_from(keys.len()).ok();
        let page = client.list_keys(&KeysQuery { limit: Some(PAGE), offset, ..query.clone() }).await?;
        let is_last = page.items.is_empty();
        keys.extend(page.items);
        if is_last || keys.len() as u64 >= page.pagination.total {
            return Ok(keys);
        }
        if keys.len() >= MOST_KEYS {
            output::tell(&format_args!(
                "Only the first {MOST_KEYS} keys are looked at: narrow the list by filters."
            ));
            return Ok(keys);
        }
    }
}
