//! `telepath keyring`: the master keys of the installation.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use telepath_client::{Client, Keyring, KeyringChange, MasterKey};
use telepath_core::vault::SealingKeyId;

use super::admin::Admin;
use super::arguments::CommonArgs;
use super::{output, pages, text};
use crate::exit::Failure;

/// How often `rotate` asks for the progress.
const ASK_INTERVAL: Duration = Duration::from_millis(500);
/// How long `rotate` waits without any progress.
const PATIENCE: Duration = Duration::from_mins(2);

const ROTATE_HELP: &str = "\
Examples:
  telepath keyring rotate --data-dir data
  telepath keyring rotate --data-dir data --key 8f14e45fceea167a

Without --key, the newest key after the active one is activated; if there is none, a new key is generated and added to
master.key. A rotation that was interrupted is continued. If several servers share the database, copy master.key to all of
them first: run `telepath keyring add`, copy the file, wait a few seconds, and then run `telepath keyring rotate`.";

const PRUNE_HELP: &str = "\
Examples:
  telepath keyring prune --data-dir data

Keep the removed key wherever you keep backups of the database from before the rotation: they cannot be opened without it.";

/// Subcommands of `keyring`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyringCommand {
    /// Show the master keys, how many secrets each of them seals, and how far a rotation is
    #[command(
        after_help = "Examples:\n  telepath keyring status --data-dir data\n  telepath keyring status --data-dir data --json"
    )]
    Status(Box<KeyringArgs>),
    /// Generate a master key and add it to the file master.key; it seals nothing yet
    #[command(
        after_help = "Examples:\n  telepath keyring add --data-dir data\n  telepath keyring add --data-dir data --json"
    )]
    Add(Box<KeyringArgs>),
    /// Seal everything with another master key, a new one by default
    #[command(after_help = ROTATE_HELP)]
    Rotate(Box<RotateArgs>),
    /// Remove master keys that were replaced and seal nothing from the file master.key
    #[command(after_help = PRUNE_HELP)]
    Prune(Box<KeyringArgs>),
}

/// Arguments of `keyring status`, `keyring add` and `keyring prune`.
#[derive(Debug, Args)]
pub(crate) struct KeyringArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `keyring rotate`.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// The id of the key to activate
    #[arg(long, value_name = "ID")]
    key: Option<SealingKeyId>,
    /// Return after the activation, while secrets are still being sealed in the background
    #[arg(long)]
    no_wait: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Runs a command.
pub(crate) async fn run(command: KeyringCommand) -> Result<(), Failure> {
    match command {
        KeyringCommand::Status(args) => status(&args).await,
        KeyringCommand::Add(args) => add(&args).await,
        KeyringCommand::Rotate(args) => rotate(*args).await,
        KeyringCommand::Prune(args) => prune(&args).await,
    }
}

/// Runs `work` with local administration, and stops what was started for it, also on failure.
async fn with_client<T>(
    common: &CommonArgs,
    work: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let admin = Admin::open(common).await?;
    let done = work(admin.client()).await;
    admin.close().await;
    done
}

async fn status(args: &KeyringArgs) -> Result<(), Failure> {
    let keyring = with_client(&args.common, async |client| Ok(client.keyring().await?)).await?;
    if args.json {
        return output::json(&keyring);
    }
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let head = ["KEY", "ACTIVE", "LOADED", "SECRETS"];
    pages::print(&keyring.keys, false, "No master keys.", head, |key| {
        [key.id.clone(), yes(key.active), yes(key.loaded), key.sealed.to_string()]
    })?;
    for server in &keyring.servers {
        let active = server.active.as_deref().unwrap_or("an unknown key");
        output::line(&format_args!(
            "{} seals with {active} and has loaded {}.",
            server.name,
            server.loaded.join(", ")
        ))?;
    }
    output::line(&progress(&keyring))
}

async fn add(args: &KeyringArgs) -> Result<(), Failure> {
    let change = with_client(&args.common, async |client| Ok(client.add_master_key().await?)).await?;
    if args.json {
        return output::json(&change);
    }
    announce_added(&change)?;
    output::line(
        &"If several servers share the database, copy the file to all of them; they load it within seconds. Then run \
          `telepath keyring rotate`.",
    )
}

fn announce_added(change: &KeyringChange) -> Result<(), Failure> {
    for id in &change.added {
        output::line(&format_args!(
            "Added the master key {id} to master.key in the data folder. Keep a copy of the file, apart from the database."
        ))?;
    }
    Ok(())
}

async fn rotate(args: RotateArgs) -> Result<(), Failure> {
    let key = args.key.map(|key| key.to_string());
    let change = with_client(&args.common, async |client| {
        let mut change = client.rotate_master_key(key.as_deref()).await?;
        if !args.json {
            announce_added(&change)?;
        }
        if !args.no_wait {
            change.keyring = finish(client, change.keyring).await?;
        }
        Ok(change)
    })
    .await?;
    if args.json {
        return output::json(&change);
    }
    output::line(&progress(&change.keyring))?;
    let replaced: Vec<_> = replaced(&change.keyring).map(|key| key.id.clone()).collect();
    if change.keyring.resealing || replaced.is_empty() {
        return Ok(());
    }
    output::line(&format_args!(
        "The old key {} is still in master.key. Keep a copy of it wherever you keep backups of the database from before; then \
         remove it with `telepath keyring prune`.",
        replaced.join(", ")
    ))
}

/// Keys before the active one.
fn replaced(keyring: &Keyring) -> impl Iterator<Item = &MasterKey> {
    keyring.keys.iter().take_while(|key| !key.active).filter(|key| key.loaded)
}

/// Waits until everything is sealed with the active key, and says on standard error how far it is.
async fn finish(client: &Client, mut keyring: Keyring) -> Result<Keyring, Failure> {
    let (mut said, mut since) = (String::new(), Instant::now());
    while keyring.resealing {
        let now = progress(&keyring);
        if now != said {
            output::note(&now);
            (said, since) = (now, Instant::now());
        }
        if keyring.unreadable > 0 && keyring.unreadable >= left(&keyring) {
            return Err(unreadable(&keyring));
        }
        if since.elapsed() >= PATIENCE {
            return Err(Failure::plain(format!("the rotation makes no progress: {said}"))
                .remedy("It is continued in the background; see `telepath keyring status` and the log of the servers."));
        }
        tokio::time::sleep(ASK_INTERVAL).await;
        keyring = client.keyring().await?;
    }
    Ok(keyring)
}

fn left(keyring: &Keyring) -> u64 {
    keyring.left.iter().map(|left| left.secrets).sum()
}

fn unreadable(keyring: &Keyring) -> Failure {
    let secrets = text::count(keyring.unreadable, "secret cannot", "secrets cannot");
    Failure::plain(format!("{secrets} be opened: {}", kinds(keyring))).remedy(
        "Add the master key that `telepath keyring status` shows as not loaded to master.key; if it is lost, replace these \
         secrets. See docs/how-to/rotate-the-master-key.md.",
    )
}

/// What is left, such as `3 webhook secrets, 2 sip passwords`.
fn kinds(keyring: &Keyring) -> String {
    let left = keyring.left.iter().filter(|left| left.secrets > 0);
    let kinds: Vec<_> =
        left.map(|left| format!("{} {}", left.secrets, left.kind.replace('_', " "))).collect();
    kinds.join(", ")
}

/// How far the secrets are sealed with the active key.
fn progress(keyring: &Keyring) -> String {
    let active = keyring.keys.iter().find(|key| key.active).map_or("the active key", |key| key.id.as_str());
    let behind: Vec<_> =
        keyring.servers.iter().filter(|server| server.active.as_deref() != Some(active)).collect();
    match (left(keyring), keyring.resealing) {
        (0, false) => format!("Everything is sealed with the master key {active}."),
        (0, true) => match behind.first() {
            Some(server) => {
                format!("Waiting until the server {} seals with the master key {active}.", server.name)
            }
            None => {
                format!("Everything is sealed with the master key {active}; checking for a few seconds more.")
            }
        },
        (left, true) => {
            let left = text::count(left, "secret is", "secrets are");
            format!("{left} left to seal with the master key {active}: {}.", kinds(keyring))
        }
        (left, false) => {
            let left = text::count(left, "secret is", "secrets are");
            format!(
                "{left} sealed with another key: {}. The server seals them again if that key is loaded.",
                kinds(keyring)
            )
        }
    }
}

async fn prune(args: &KeyringArgs) -> Result<(), Failure> {
    let change = with_client(&args.common, async |client| Ok(client.prune_master_keys().await?)).await?;
    if args.json {
        return output::json(&change);
    }
    if change.removed.is_empty() {
        return output::line(&"Nothing to remove: no master key before the active one seals nothing.");
    }
    output::line(&format_args!(
        "Removed {} from master.key. Run this on every server of the database, or copy the file there.",
        change.removed.join(", ")
    ))
}
