//! `telepath keys`: manages API keys in a data folder, with or without a running server, or on a remote server.

mod create;
mod list;
mod pause;
mod presets;
mod report_leak;
mod revoke;
mod rotate;
mod show;
mod update;
mod usage;

use std::collections::BTreeMap;

use clap::Subcommand;
use serde_json::{Value, json};
use telepath_client::{Client, CreatedKey, Key, KeysQuery};

pub(crate) use rotate::{all_as_json, secrets_table};

use super::{output, pages};
use crate::exit::Failure;

/// The maximum number of keys that one command reads.
const MAX_KEYS: u32 = 100_000;

/// Subcommands of `keys`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Create a key; its secret is printed once, on standard output
    #[command(after_help = create::EXAMPLES)]
    Create(Box<create::CreateArgs>),
    /// List the keys of the account
    #[command(after_help = list::EXAMPLES)]
    List(Box<list::ListArgs>),
    /// Show a key and when each of its secrets was last used
    #[command(after_help = show::EXAMPLES)]
    Show(Box<show::ShowArgs>),
    /// Update a key's name, description, metadata, scopes, trunks, limit, quotas, networks or expiry
    #[command(after_help = update::EXAMPLES)]
    Update(Box<update::UpdateArgs>),
    /// Rotate a key: the new secret is printed once; the old one works until the grace period ends
    #[command(after_help = rotate::EXAMPLES)]
    Rotate(Box<rotate::RotateArgs>),
    /// Rotate every usable key, all or none
    #[command(after_help = rotate::ALL_EXAMPLES)]
    RotateAll(Box<rotate::RotateAllArgs>),
    /// Revoke an old secret of a key before its grace period ends
    #[command(after_help = rotate::END_EXAMPLES)]
    EndSecret(Box<rotate::EndSecretArgs>),
    /// Stop a key until it is resumed
    #[command(after_help = pause::EXAMPLES)]
    Pause(Box<pause::PauseArgs>),
    /// Resume a paused key
    #[command(after_help = pause::EXAMPLES)]
    Resume(Box<pause::PauseArgs>),
    /// Revoke a key at once
    #[command(after_help = revoke::EXAMPLES)]
    Revoke(Box<revoke::RevokeArgs>),
    /// Report leaked keys: they are revoked, whoever they belong to
    #[command(after_help = report_leak::EXAMPLES)]
    ReportLeak(Box<report_leak::ReportLeakArgs>),
    /// Show the usage of a key by time, route and address
    #[command(after_help = usage::EXAMPLES)]
    Usage(Box<usage::UsageArgs>),
    /// List and update the presets of the account
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
        KeysCommand::Pause(args) => pause::pause(*args).await,
        KeysCommand::Resume(args) => pause::resume(*args).await,
        KeysCommand::Revoke(args) => revoke::run(*args).await,
        KeysCommand::ReportLeak(args) => report_leak::run(*args).await,
        KeysCommand::Usage(args) => usage::run(*args).await,
        KeysCommand::Presets(command) => presets::run(command).await,
    }
}

/// Parses `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("must have the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn pairs(pairs: Vec<(String, String)>) -> Option<BTreeMap<String, String>> {
    (!pairs.is_empty()).then(|| pairs.into_iter().collect())
}

/// The quotas of a key, if it has any.
fn quota_text(key: &Key) -> Option<String> {
    let of = |quota: Option<u32>, period| quota.map(|requests| format!("{requests} requests per {period}"));
    let quotas = [of(key.quotas.per_day, "day"), of(key.quotas.per_month, "month")];
    let quotas: Vec<_> = quotas.into_iter().flatten().collect();
    (!quotas.is_empty()).then(|| quotas.join(", "))
}

/// The trunks that a key reaches.
fn trunk_list(key: &Key) -> String {
    let ids: Vec<_> = key.trunk_ids.iter().map(ToString::to_string).collect();
    ids.join(" ")
}

/// A key as JSON, with its new secret.
pub(crate) fn with_secret(created: &CreatedKey) -> Result<Value, Failure> {
    let mut value =
        serde_json::to_value(&created.key).map_err(|error| Failure::doing("could not write JSON", &error))?;
    if let Some(object) = value.as_object_mut() {
        object.insert("secret".to_owned(), json!(created.secret.expose()));
    }
    Ok(value)
}

/// Every key that matches a query.
pub(crate) async fn all(client: &Client, query: &KeysQuery) -> Result<Vec<Key>, Failure> {
    let listing = pages::by_cursor(MAX_KEYS, async |size, cursor| {
        client.list_keys(&KeysQuery { limit: Some(size), cursor, ..query.clone() }).await
    })
    .await?;
    if listing.has_more {
        output::note(&format_args!(
            "Only the first {MAX_KEYS} keys were read. Use filters to narrow the list."
        ));
    }
    Ok(listing.items)
}
