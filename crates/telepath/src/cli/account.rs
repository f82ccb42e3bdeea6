//! `telepath account`: shows and updates the account that a command works on.

use clap::{Args, Subcommand};
use telepath_client::{Patch, UpdateAccount};

use super::accounts::print;
use super::reach::{ApiArgs, with_client};
use crate::exit::{Exit, Failure};

const UPDATE_EXAMPLES: &str = "\
Examples:
  telepath account update --data-dir data --name Acme
  telepath account update --data-dir data --max-key-lifetime 90 --keys-must-expire true
  telepath account update --env-file admin.env --max-key-lifetime unlimited";

/// Subcommands of `account`.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Show the account and its policies for keys
    #[command(
        after_help = "Examples:\n  telepath account show --data-dir data\n  telepath account show --env-file admin.env --json"
    )]
    Show(Box<ShowArgs>),
    /// Update the account's name or its policies for keys
    #[command(after_help = UPDATE_EXAMPLES)]
    Update(Box<UpdateArgs>),
}

/// Arguments of `account show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Print the account as a JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `account update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Name, 1-100 characters
    #[arg(long, help_heading = "Changes")]
    name: Option<String>,
    /// Longest time until a new or changed key expires, in days, or unlimited
    #[arg(long, value_name = "DAYS", value_parser = lifetime, help_heading = "Changes")]
    max_key_lifetime: Option<Lifetime>,
    /// Whether every new or changed key must expire
    #[arg(long, value_name = "BOOL", help_heading = "Changes")]
    keys_must_expire: Option<bool>,
    /// Whether a key that is sent over plain HTTP is revoked at once
    #[arg(long, value_name = "BOOL", help_heading = "Changes")]
    revoke_keys_seen_in_clear: Option<bool>,
    /// Print the account as a JSON object
    #[arg(long)]
    json: bool,
}

/// The longest lifetime of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lifetime {
    Days(u32),
    Unlimited,
}

fn lifetime(text: &str) -> Result<Lifetime, String> {
    match text {
        "unlimited" => Ok(Lifetime::Unlimited),
        days => {
            days.parse().map(Lifetime::Days).map_err(|_| "must be a number of days, or unlimited".to_owned())
        }
    }
}

/// Runs a command.
pub(crate) async fn run(command: AccountCommand) -> Result<(), Failure> {
    match command {
        AccountCommand::Show(args) => {
            let account = with_client(&args.api, async |client| Ok(client.account().await?)).await?;
            print(&account, args.json)
        }
        AccountCommand::Update(args) => update(*args).await,
    }
}

async fn update(args: UpdateArgs) -> Result<(), Failure> {
    let nothing = args.name.is_none()
        && args.max_key_lifetime.is_none()
        && args.keys_must_expire.is_none()
        && args.revoke_keys_seen_in_clear.is_none();
    if nothing {
        return Err(
            Failure::new(Exit::Usage, "nothing to change").remedy("Pass at least one change; see --help.")
        );
    }
    let change = UpdateAccount {
        name: args.name,
        revoke_keys_seen_in_clear: args.revoke_keys_seen_in_clear,
        max_key_lifetime_days: match args.max_key_lifetime {
            None => Patch::Keep,
            Some(Lifetime::Unlimited) => Patch::Clear,
            Some(Lifetime::Days(days)) => Patch::Set(days),
        },
        keys_must_expire: args.keys_must_expire,
    };
    let account = with_client(&args.api, async |client| Ok(client.update_account(&change).await?)).await?;
    print(&account, args.json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_a_number_of_days_or_unlimited() {
        assert_eq!(lifetime("90"), Ok(Lifetime::Days(90)));
        assert_eq!(lifetime("unlimited"), Ok(Lifetime::Unlimited));
        for wrong in ["", "90d", "-1", "never"] {
            assert!(lifetime(wrong).is_err(), "{wrong}");
        }
    }
}
