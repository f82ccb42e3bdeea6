//! `telepath accounts`: manages the accounts of the installation through local administration.

use clap::{Args, Subcommand};
use telepath_client::{Account, AccountId, AdministerAccount, CreateAccount, PageQuery};
use telepath_core::account::MAX_ACCOUNTS;

use super::admin::Admin;
use super::arguments::CommonArgs;
use super::{choices, output, pages};
use crate::exit::{Exit, Failure};

const CREATE_EXAMPLES: &str = "\
Examples:
  telepath accounts create --data-dir data --name Acme
  telepath accounts create --data-dir data --name 'Acme test' --mode test --max-rate-limit 600";

const UPDATE_EXAMPLES: &str = "\
Examples:
  telepath accounts update acct_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --name Acme
  telepath accounts update acct_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --max-rate-limit 6000";

/// Subcommands of `accounts`.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountsCommand {
    /// Create an account
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Box<CreateArgs>),
    /// List the accounts, the oldest first
    #[command(after_help = "Examples:\n  telepath accounts list --data-dir data")]
    List(Box<ListArgs>),
    /// Show an account and its policies for keys
    #[command(
        after_help = "Examples:\n  telepath accounts show acct_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data"
    )]
    Show(Box<ShowArgs>),
    /// Update an account
    #[command(after_help = UPDATE_EXAMPLES)]
    Update(Box<UpdateArgs>),
}

/// Arguments of `accounts create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Name, 1-100 characters
    #[arg(long)]
    name: String,
    /// Mode; a test account has test keys [default: live]
    #[arg(long, value_parser = choices::key_modes())]
    mode: Option<String>,
    /// Highest rate limit of its keys, in requests per minute
    #[arg(long, value_name = "PER_MINUTE")]
    max_rate_limit: Option<u32>,
    /// Print the account as a JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `accounts list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Arguments of `accounts show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Account id, acct_…
    id: AccountId,
    /// Print the account as a JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `accounts update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Account id, acct_…
    id: AccountId,
    /// Name, 1-100 characters
    #[arg(long)]
    name: Option<String>,
    /// Mode; can change only while the account has no key that is not revoked
    #[arg(long, value_parser = choices::key_modes())]
    mode: Option<String>,
    /// Highest rate limit of its keys, in requests per minute
    #[arg(long, value_name = "PER_MINUTE")]
    max_rate_limit: Option<u32>,
    /// Print the account as a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(command: AccountsCommand) -> Result<(), Failure> {
    match command {
        AccountsCommand::Create(args) => create(*args).await,
        AccountsCommand::List(args) => list(*args).await,
        AccountsCommand::Show(args) => show(*args).await,
        AccountsCommand::Update(args) => update(*args).await,
    }
}

async fn create(args: CreateArgs) -> Result<(), Failure> {
    let new = CreateAccount {
        name: Some(args.name),
        mode: args.mode,
        max_rate_limit_per_minute: args.max_rate_limit,
    };
    let admin = Admin::open(&args.common).await?;
    let account = admin.client().create_account(&new).await;
    admin.close().await;
    print(&account?, args.json)
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let admin = Admin::open(&args.common).await?;
    let client = admin.client();
    let accounts = pages::by_cursor(MAX_ACCOUNTS, async |size, cursor| {
        client.list_accounts(&PageQuery { limit: Some(size), cursor, ..PageQuery::default() }).await
    })
    .await;
    admin.close().await;
    let head = ["ID", "MODE", "MAX RATE LIMIT", "NAME"];
    pages::print(&accounts?.items, args.json, "No accounts.", head, |account| {
        [
            account.id.to_string(),
            account.mode.clone(),
            account.max_rate_limit_per_minute.to_string(),
            account.name.clone(),
        ]
    })
}

async fn show(args: ShowArgs) -> Result<(), Failure> {
    let admin = Admin::open(&args.common).await?;
    let account = admin.client().get_account(args.id).await;
    admin.close().await;
    print(&account?, args.json)
}

async fn update(args: UpdateArgs) -> Result<(), Failure> {
    if args.name.is_none() && args.mode.is_none() && args.max_rate_limit.is_none() {
        return Err(
            Failure::new(Exit::Usage, "nothing to change").remedy("Pass --name, --mode or --max-rate-limit.")
        );
    }
    let change = AdministerAccount {
        name: args.name,
        mode: args.mode,
        max_rate_limit_per_minute: args.max_rate_limit,
    };
    let admin = Admin::open(&args.common).await?;
    let account = admin.client().administer_account(args.id, &change).await;
    admin.close().await;
    print(&account?, args.json)
}

/// Prints an account with its policies.
pub(crate) fn print(account: &Account, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return output::json(account);
    }
    let lifetime =
        account.max_key_lifetime_days.map_or_else(|| "no limit".to_owned(), |days| format!("{days} days"));
    let yes = |policy| if policy { "yes" } else { "no" };
    let facts = output::facts(&[
        ("Account", account.id.to_string()),
        ("Name", account.name.clone()),
        ("Mode", account.mode.clone()),
        ("Maximum rate limit", format!("{} per minute", account.max_rate_limit_per_minute)),
        ("Maximum key lifetime", lifetime),
        ("Keys must expire", yes(account.keys_must_expire).to_owned()),
        ("Revoke keys seen in cleartext", yes(account.revoke_keys_seen_in_clear).to_owned()),
        ("Created", account.created_at.to_string()),
    ]);
    output::raw(facts.as_bytes())
}
