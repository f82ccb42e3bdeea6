//! The command line. One file per group of commands.

mod account;
mod accounts;
mod admin;
mod agent;
mod alerts;
mod analytics;
mod arguments;
mod audit;
mod call;
mod calls;
mod chart;
mod choices;
mod completions;
mod compromise;
mod config;
mod consent;
mod expiry;
mod keyring;
mod keys;
mod migrate;
pub(crate) mod output;
mod pages;
mod quickstart;
mod reach;
#[cfg(test)]
mod reference;
mod requests;
mod serve;
mod sip;
mod stream;
mod suggestion;
mod text;
mod trunks;
mod users;
mod version;
mod webhooks;
mod whoami;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

pub(crate) use call::{caller_failure, milliseconds};

use crate::exit::{Exit, Failure};
use crate::telemetry;

const EXAMPLES: &str = "\
Examples:
  telepath quickstart                                                  set up a demo and place a test call
  telepath serve --data-dir data                                       run the server
  telepath keys create --data-dir data --name App --preset production  create an API key
  telepath config show --config telepath.toml                          show the effective configuration

Exit codes: 0 success, 1 error, 2 invalid command line, 3 invalid configuration, 4 port or folder in use,
5 rejected by the server, 6 unreachable, unavailable or rate limited, 130 ended by a second signal.";

/// Telepath: a self-hosted gateway that connects phone calls to AI voice agents
#[derive(Debug, Parser)]
#[command(name = "telepath", version = crate::build_info::LONG, after_help = EXAMPLES, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set up a demo and place a test call
    #[command(after_help = QUICKSTART_EXAMPLES)]
    Quickstart(Box<quickstart::QuickstartArgs>),
    /// Run the server: API over HTTPS, SIP over UDP, TCP and TLS
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(serve::ServeArgs),
    /// Create, list, update, rotate and revoke API keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Respond to a leaked key: revoke, rotate, audit, find old secrets, list credentials to replace
    #[command(after_help = COMPROMISE_EXAMPLES)]
    Compromise(Box<compromise::CompromiseArgs>),
    /// Follow, list and export API requests
    #[command(subcommand)]
    Requests(requests::RequestsCommand),
    /// List audit events and verify the audit trail
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Show and update the account: its name and its policies for keys
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Show who calls the SIP port without reaching a trunk
    #[command(subcommand)]
    Sip(sip::SipCommand),
    /// Show, add, rotate and remove master keys
    #[command(subcommand)]
    Keyring(keyring::KeyringCommand),
    /// Manage the accounts of the installation
    #[command(subcommand)]
    Accounts(accounts::AccountsCommand),
    /// List and acknowledge alerts
    #[command(subcommand)]
    Alerts(alerts::AlertsCommand),
    /// List, show and hang up calls
    #[command(subcommand)]
    Calls(calls::CallsCommand),
    /// Show statistics of calls and compare trunks
    #[command(subcommand)]
    Analytics(analytics::AnalyticsCommand),
    /// Follow requests, calls, alerts and deliveries as they happen
    #[command(after_help = stream::EXAMPLES)]
    Stream(Box<stream::StreamArgs>),
    /// Manage trunks
    #[command(subcommand)]
    Trunks(trunks::TrunksCommand),
    /// Manage webhooks and their deliveries
    #[command(subcommand)]
    Webhooks(webhooks::WebhooksCommand),
    /// Manage users, their roles and their password codes
    #[command(subcommand)]
    Users(users::UsersCommand),
    /// Run a built-in agent
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// Place a SIP call, play a file and record the response
    #[command(after_help = CALL_EXAMPLES)]
    Call(Box<call::CallArgs>),
    /// Show the key and the account that commands use
    #[command(
        after_help = "Examples:\n  telepath whoami --env-file app.env\n  telepath whoami --data-dir data --json"
    )]
    Whoami(Box<whoami::WhoamiArgs>),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Migrate the database schema
    #[command(after_help = MIGRATE_EXAMPLES)]
    Migrate(migrate::MigrateArgs),
    /// Print a completion script for a shell
    #[command(after_help = "Examples:\n  telepath completions bash > /etc/bash_completion.d/telepath")]
    Completions(completions::CompletionsArgs),
    /// Print the version, the commit and the target of the program
    #[command(after_help = "Examples:\n  telepath version\n  telepath version --json")]
    Version(version::VersionArgs),
}

const SERVE_EXAMPLES: &str = "\
Examples:
  telepath serve --data-dir data
  telepath serve --data-dir data --api-listen 0.0.0.0:8443 --sip-listen 0.0.0.0:5060 --sip-public-host 203.0.113.7
  telepath serve --data-dir data --insecure-http-listen 127.0.0.1:8080
  telepath serve --data-dir data --api-listen 127.0.0.1:0 --sip-listen 127.0.0.1:0 --json

SIGTERM and SIGINT stop it: no new work, live calls and requests are waited for, exit 0. A second signal ends it at
once. SIGHUP reloads the certificates.";

const QUICKSTART_EXAMPLES: &str = "\
Examples:
  telepath quickstart
  telepath quickstart --data-dir data --once
  telepath quickstart --api-listen 127.0.0.1:9443 --sip-listen 127.0.0.1:5070

Everything runs on this machine. The key works for 24 hours; running it again on the same folder replaces the key and the
trunk password. When it ends, the echo trunk becomes inactive, because its agent ends too.";

const COMPROMISE_EXAMPLES: &str = "\
Examples:
  telepath compromise key_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data
  telepath compromise key_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --yes --json > compromise.ndjson
  telepath compromise key_01k9v1n2xrf6t8g3m5q7w9y0za --env-file admin.env --grace 1h

Five steps, each shown before it is done and asked for: revoke the key, rotate all others, look at what the key did, see
who still uses old secrets, list the AI provider credentials to replace. With --json each step is one object on a line of
its own. A step that fails does not keep the next ones from being done.";

const CALL_EXAMPLES: &str = "\
Examples:
  telepath call sip:support-01@127.0.0.1:5060 --username support-01 --password-file password.txt \\
      --play question.wav --record answer.wav
  telepath call sip:support-01@voice.example --listen 5s --json";

const MIGRATE_EXAMPLES: &str = "\
Examples:
  telepath migrate --config /etc/telepath.toml
  TELEPATH_DATABASE_URL_FILE=/run/secrets/database telepath migrate
  telepath migrate --data-dir data

SQLite is migrated by `serve` as well, after a copy was made; PostgreSQL only by this command. For a new database, the
command also creates the master key, and says where to copy it.";

/// Parses the command line and runs the command.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    telemetry::log_panics();
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => {
            let error = suggestion::correct(error, &Cli::command(), args.get(1..).unwrap_or_default());
            // --help and --version also end here. A closed standard output is not an error.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::failure(&failure);
            failure.exit.into()
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Config(command) => config::run(&command),
        Command::Completions(args) => completions::run(&args),
        Command::Version(args) => version::run(&args),
        Command::Quickstart(args) => block_on(quickstart::run(*args)),
        Command::Serve(args) => block_on(serve::run(args)),
        Command::Agent(command) => block_on(agent::run(command)),
        Command::Call(args) => block_on(call::run(*args)),
        Command::Keys(command) => block_on(keys::run(command)),
        Command::Compromise(args) => block_on(compromise::run(*args)),
        Command::Requests(command) => block_on(requests::run(command)),
        Command::Audit(command) => block_on(audit::run(command)),
        Command::Account(command) => block_on(account::run(command)),
        Command::Calls(command) => block_on(calls::run(command)),
        Command::Analytics(command) => block_on(analytics::run(command)),
        Command::Stream(args) => block_on(stream::run(*args)),
        Command::Whoami(args) => block_on(whoami::run(*args)),
        Command::Sip(command) => block_on(sip::run(command)),
        Command::Keyring(command) => block_on(keyring::run(command)),
        Command::Accounts(command) => block_on(accounts::run(command)),
        Command::Alerts(command) => block_on(alerts::run(command)),
        Command::Trunks(command) => block_on(trunks::run(command)),
        Command::Users(command) => block_on(users::run(command)),
        Command::Webhooks(command) => block_on(webhooks::run(command)),
        Command::Migrate(args) => block_on(migrate::run(args)),
    }
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::doing("could not start the runtime", &error))?
        .block_on(work)
}

#[cfg(test)]
mod tests;
