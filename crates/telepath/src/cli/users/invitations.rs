//! `telepath users invite` and `invitations`: links with which people become members of the account.

use clap::Args;
use serde_json::json;
use telepath_client::{CreateInvitation, Invitation, PageQuery};
use telepath_core::id::InvitationId;
use telepath_core::user::MAX_INVITATIONS;

use super::EMAIL;
use crate::cli::admin::with_admin;
use crate::cli::arguments::LocalArgs;
use crate::cli::{choices, output, pages, text};
use crate::exit::Failure;

pub(super) const INVITE_EXAMPLES: &str = "\
Examples:
  telepath users invite grace@example.com --data-dir data --role developer
  telepath users invite grace@example.com --data-dir data --role admin --account acct_01k9v1n2xrf6t8g3m5q7w9y0za

The code works once, within 72 hours. A new user chooses a name and a password; one who exists signs in and joins.
Nothing is sent: pass the link on over a channel that only they read.";

pub(super) const INVITATIONS_EXAMPLES: &str = "\
Examples:
  telepath users invitations --data-dir data
  telepath users invitations --data-dir data --revoke inv_01k9v1n2xrf6t8g3m5q7w9y0za";

/// Arguments of `users invite`.
#[derive(Debug, Args)]
pub(crate) struct InviteArgs {
    #[command(flatten)]
    local: LocalArgs,
    /// Email address; only the user with this address can accept
    email: String,
    /// Role in the account
    #[arg(long, value_parser = choices::roles())]
    role: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `users invitations`.
#[derive(Debug, Args)]
pub(crate) struct InvitationsArgs {
    #[command(flatten)]
    local: LocalArgs,
    /// Revoke this invitation instead
    #[arg(long, value_name = "ID")]
    revoke: Option<InvitationId>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

pub(super) async fn invite(args: InviteArgs) -> Result<(), Failure> {
    let new = CreateInvitation { email: Some(args.email), role: Some(args.role) };
    let made = with_admin(&args.local, async |client| Ok(client.create_invitation(&new).await?)).await?;
    let (invitation, code) = (&made.invitation, made.code.expose());
    if args.json {
        let value = serde_json::to_value(invitation);
        let mut value = value.map_err(|error| Failure::doing("could not write JSON", &error))?;
        value["code"] = json!(code);
        return output::json(&value);
    }
    output::line(&format_args!("Invited {} ({}) as {}", invitation.email, invitation.id, invitation.role))?;
    output::line(&format_args!("  expires        {}", invitation.expires_at))?;
    output::line(&format_args!("  on dashboard   /invitation?code={code}"))?;
    output::line(&"The code works once and is not shown again.")
}

pub(super) async fn invitations(args: InvitationsArgs) -> Result<(), Failure> {
    if let Some(id) = args.revoke {
        with_admin(&args.local, async |client| Ok(client.revoke_invitation(id).await?)).await?;
        return if args.json {
            output::json(&json!([]))
        } else {
            output::line(&format_args!("Revoked {id}"))
        };
    }
    let open = with_admin(&args.local, async |client| {
        pages::by_cursor(MAX_INVITATIONS, async |size, cursor| {
            client.list_invitations(&PageQuery { limit: Some(size), cursor, ..PageQuery::default() }).await
        })
        .await
    })
    .await?
    .items;
    let empty = "No open invitations. Invite somebody with `telepath users invite`.";
    pages::print(&open, args.json, empty, ["ID", "EMAIL", "ROLE", "EXPIRES"], row)
}

fn row(invitation: &Invitation) -> [String; 4] {
    [
        invitation.id.to_string(),
        text::truncate(&invitation.email, EMAIL),
        invitation.role.clone(),
        invitation.expires_at.to_string(),
    ]
}
