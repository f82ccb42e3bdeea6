//! `telepath users`: manages the users who sign in to the dashboard, through local administration only.

mod invitations;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use telepath_client::{CreateUser, CreatedPasswordCode, PageQuery, User};
use telepath_core::scope::Scope;
use telepath_core::user::{MAX_MEMBERS, Role};

use super::admin::with_admin;
use super::arguments::LocalArgs;
use super::{choices, output, pages, text};
use crate::exit::{Exit, Failure};

/// The widths of the name and address columns.
const NAME: usize = 20;
const EMAIL: usize = 34;

const ADD_EXAMPLES: &str = "\
Examples:
  telepath users add ada@example.com --data-dir data --role owner --name 'Ada Lovelace'
  telepath users add grace@example.com --data-dir data --role developer --json

The code sets the first password, once, within 72 hours. The user opens /setup?code=CODE on the dashboard.";

const LIST_EXAMPLES: &str = "\
Examples:
  telepath users list --data-dir data
  telepath users list --data-dir data --json";

const DISABLE_EXAMPLES: &str = "\
Examples:
  telepath users disable ada@example.com --data-dir data

All sessions of the user end at once, in every account. Keys that the user created keep working.";

const ENABLE_EXAMPLES: &str = "\
Examples:
  telepath users enable ada@example.com --data-dir data";

const RESET_EXAMPLES: &str = "\
Examples:
  telepath users reset-password ada@example.com --data-dir data

The code sets a new password, once, within an hour. The old password works until then; all sessions end when the
code is used. The user opens /setup?code=CODE on the dashboard.";

const REMOVE_FACTOR_EXAMPLES: &str = "\
Examples:
  telepath users remove-second-factor ada@example.com --data-dir data

For a user who has lost the authenticator and the recovery codes. Their sessions end; they sign in with the password and add
another second factor.";

const ROLES_EXAMPLES: &str = "\
Examples:
  telepath users roles
  telepath users roles ada@example.com --data-dir data --set admin
  telepath users roles ada@example.com --data-dir data --remove";

/// Subcommands of `users`.
#[derive(Debug, Subcommand)]
pub(crate) enum UsersCommand {
    /// Add a user to the account; a code for the first password is printed once
    #[command(after_help = ADD_EXAMPLES)]
    Add(AddArgs),
    /// Invite somebody to the account; the link is printed once
    #[command(after_help = invitations::INVITE_EXAMPLES)]
    Invite(invitations::InviteArgs),
    /// List the open invitations, or revoke one
    #[command(after_help = invitations::INVITATIONS_EXAMPLES)]
    Invitations(invitations::InvitationsArgs),
    /// List the users of the account
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArgs),
    /// Disable a user and end their sessions
    #[command(after_help = DISABLE_EXAMPLES)]
    Disable(UserArgs),
    /// Enable a disabled user
    #[command(after_help = ENABLE_EXAMPLES)]
    Enable(UserArgs),
    /// Create a one-use code that sets a new password
    #[command(after_help = RESET_EXAMPLES)]
    ResetPassword(UserArgs),
    /// Remove the lost second factor of a user and end their sessions
    #[command(after_help = REMOVE_FACTOR_EXAMPLES)]
    RemoveSecondFactor(UserArgs),
    /// Show the scopes of each role, or change the role of a user
    #[command(after_help = ROLES_EXAMPLES)]
    Roles(RolesArgs),
}

/// Arguments of `users add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    local: LocalArgs,
    /// Email address, which identifies the user on this server
    email: String,
    /// Name, 1 to 100 characters; defaults to the part of the address before the @
    #[arg(long)]
    name: Option<String>,
    /// Role in the account
    #[arg(long, value_parser = choices::roles())]
    role: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `users list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    local: LocalArgs,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Arguments of commands about one user.
#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    #[command(flatten)]
    local: LocalArgs,
    /// Email address or id of the user
    user: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `users roles`.
#[derive(Debug, Args)]
pub(crate) struct RolesArgs {
    #[command(flatten)]
    local: LocalArgs,
    /// Email address or id of the user whose role changes
    user: Option<String>,
    /// The new role
    #[arg(long, value_name = "ROLE", value_parser = choices::roles(), requires = "user", conflicts_with = "remove")]
    set: Option<String>,
    /// Remove the user from the account and end their sessions on it
    #[arg(long, requires = "user")]
    remove: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs a command.
pub(crate) async fn run(command: UsersCommand) -> Result<(), Failure> {
    match command {
        UsersCommand::Add(args) => add(args).await,
        UsersCommand::Invite(args) => invitations::invite(args).await,
        UsersCommand::Invitations(args) => invitations::invitations(args).await,
        UsersCommand::List(args) => list(args).await,
        UsersCommand::Disable(args) => {
            let user = args.user.as_str();
            let done = with_admin(&args.local, async |client| Ok(client.disable_user(user).await?)).await?;
            changed(&done, args.json, "Disabled", "; all sessions have ended")
        }
        UsersCommand::Enable(args) => {
            let user = args.user.as_str();
            let done = with_admin(&args.local, async |client| Ok(client.enable_user(user).await?)).await?;
            changed(&done, args.json, "Enabled", "")
        }
        UsersCommand::ResetPassword(args) => {
            let user = args.user.as_str();
            let made =
                with_admin(&args.local, async |client| Ok(client.create_password_code(user).await?)).await?;
            with_code(&made, args.json, "Password code for")
        }
        UsersCommand::RemoveSecondFactor(args) => {
            let user = args.user.as_str();
            let done =
                with_admin(&args.local, async |client| Ok(client.remove_second_factor(user).await?)).await?;
            changed(&done, args.json, "Removed the second factor of", "; all sessions have ended")
        }
        UsersCommand::Roles(args) => roles(args).await,
    }
}

async fn add(args: AddArgs) -> Result<(), Failure> {
    let new = CreateUser { email: Some(args.email), name: args.name, role: Some(args.role) };
    let made = with_admin(&args.local, async |client| Ok(client.create_user(&new).await?)).await?;
    with_code(&made, args.json, "Added user")
}

/// Prints a user with their password code, which is shown only here.
fn with_code(made: &CreatedPasswordCode, as_json: bool, what: &str) -> Result<(), Failure> {
    let CreatedPasswordCode { user, code, expires_at } = made;
    if as_json {
        let mut value = object(user)?;
        value["password_code"] = json!(code.expose());
        value["password_code_expires_at"] = json!(expires_at);
        return output::json(&value);
    }
    output::line(&format_args!("{what} {} ({}, {})", user.email, user.id, user.role))?;
    output::line(&format_args!("  password code  {}", code.expose()))?;
    output::line(&format_args!("  expires        {expires_at}"))?;
    output::line(&format_args!("  on dashboard   /setup?code={}", code.expose()))?;
    output::line(&"The code sets the password once and is not shown again.")
}

fn object(user: &User) -> Result<Value, Failure> {
    serde_json::to_value(user).map_err(|error| Failure::doing("could not write JSON", &error))
}

fn changed(user: &User, as_json: bool, what: &str, effect: &str) -> Result<(), Failure> {
    if as_json {
        return output::json(user);
    }
    output::line(&format_args!("{what} {} ({}){effect}", user.email, user.id))
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let users = with_admin(&args.local, async |client| {
        pages::by_cursor(MAX_MEMBERS, async |size, cursor| {
            client.list_users(&PageQuery { limit: Some(size), cursor, ..PageQuery::default() }).await
        })
        .await
    })
    .await?
    .items;
    let empty = "No users. Add one with `telepath users add`.";
    pages::print(&users, args.json, empty, HEAD, row)
}

const HEAD: [&str; 6] = ["ID", "EMAIL", "NAME", "ROLE", "STATUS", "2FA"];

fn row(user: &User) -> [String; 6] {
    [
        user.id.to_string(),
        text::truncate(&user.email, EMAIL),
        text::truncate(&user.name, NAME),
        user.role.clone(),
        user.status.clone(),
        if user.second_factor { "yes" } else { "no" }.to_owned(),
    ]
}

async fn roles(args: RolesArgs) -> Result<(), Failure> {
    let Some(user) = args.user.as_deref() else { return describe(args.json) };
    let role = match (args.set.as_deref(), args.remove) {
        (Some(role), _) => Some(role),
        (None, true) => None,
        (None, false) => {
            return Err(Failure::new(Exit::Usage, format!("nothing to change for {user}"))
                .remedy("Pass --set ROLE or --remove."));
        }
    };
    let done = with_admin(&args.local, async |client| Ok(client.set_user_role(user, role).await?)).await?;
    match done {
        Some(member) if args.json => output::json(&member),
        Some(member) => output::line(&format_args!("{} ({}) is {}", member.email, member.id, member.role)),
        None if args.json => output::json(&Value::Null),
        None => output::line(&format_args!("Removed {user} from the account")),
    }
}

/// What each role may do.
fn describe(as_json: bool) -> Result<(), Failure> {
    if as_json {
        let entry = |role: &Role| {
            let scopes: Vec<_> = role.scopes().iter().map(Scope::name).collect();
            json!({ "role": role.name(), "description": role.describe(), "scopes": scopes })
        };
        return output::json(&Role::ALL.iter().map(entry).collect::<Vec<_>>());
    }
    let rows: Vec<_> =
        Role::ALL.iter().map(|role| vec![role.name().to_owned(), role.describe().to_owned()]).collect();
    output::raw(output::table(&["ROLE", "MAY DO"], &rows).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_long_values_fits_a_terminal() {
        let user: User = serde_json::from_value(json!({
            "id": "user_01k9v1n2xrf6t8g3m5q7w9y0za", "role": "developer", "status": "disabled",
            "email": "a.very.long.address.of.a.person@department.example.com",
            "name": "A name that is far too long to be shown", "second_factor": true,
            "created_at": "2026-01-31T12:00:00Z", "last_sign_in_at": null,
        }))
        .unwrap();
        let shown = pages::table(&[user], HEAD, row);
        assert!(shown.lines().all(|line| line.chars().count() <= 120), "{shown}");
    }
}
