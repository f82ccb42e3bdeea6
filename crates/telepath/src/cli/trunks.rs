//! `telepath trunks`: creates and lists trunks.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use telepath_client::{Client, CreateTrunk, SecretText, Trunk, TrunksQuery};

use super::reach::{ApiArgs, with_client};
use super::{output, pages};
use crate::exit::{Exit, Failure};

/// The maximum number of trunks that one command reads.
const MAX_TRUNKS: usize = 100_000;

const CREATE_EXAMPLES: &str = "\
Examples:
  telepath trunks create --data-dir data --name Support --ai-provider custom --sip-username support-01 \\
      --custom-endpoint wss://agent.example/voice
  telepath trunks create --data-dir data --name Echo --ai-provider custom --sip-username echo-01 \\
      --custom-endpoint ws://127.0.0.1:9000 --json";

/// Subcommands of `trunks`.
#[derive(Debug, Subcommand)]
pub(crate) enum TrunksCommand {
    /// Create a trunk; a generated SIP password is printed once, on standard output
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Box<CreateArgs>),
    /// List the trunks of the account
    #[command(
        after_help = "Examples:\n  telepath trunks list --data-dir data\n  telepath trunks list --data-dir data --json"
    )]
    List(Box<ListArgs>),
}

/// Arguments of `trunks create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Name, 1 to 100 characters
    #[arg(long)]
    name: String,
    /// Agent provider: openai, elevenlabs or custom
    #[arg(long)]
    ai_provider: String,
    /// User part of the SIP URI: 3 to 30 letters, digits or hyphens
    #[arg(long)]
    sip_username: String,
    /// File with the SIP password; generated if omitted
    #[arg(long, value_name = "FILE", help_heading = "Credentials")]
    sip_password_file: Option<PathBuf>,
    /// File with the provider's API key, for openai and elevenlabs
    #[arg(long, value_name = "FILE", help_heading = "Credentials")]
    provider_key_file: Option<PathBuf>,
    /// ElevenLabs agent id, for elevenlabs
    #[arg(long, value_name = "ID")]
    elevenlabs_agent_id: Option<String>,
    /// Agent URL, for custom: wss://…, or ws:// on this machine
    #[arg(long, value_name = "URL")]
    custom_endpoint: Option<String>,
    /// File with the system prompt, at most 32 KiB
    #[arg(long, value_name = "FILE")]
    system_prompt_file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `trunks list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Runs a command.
pub(crate) async fn run(command: TrunksCommand) -> Result<(), Failure> {
    match command {
        TrunksCommand::Create(args) => create(*args).await,
        TrunksCommand::List(args) => list(*args).await,
    }
}

fn request(args: &CreateArgs) -> Result<CreateTrunk, Failure> {
    let provider_key = args.provider_key_file.as_deref().map(read_secret).transpose()?;
    let (openai_api_key, elevenlabs_api_key) =
        if args.ai_provider == "openai" { (provider_key, None) } else { (None, provider_key) };
    Ok(CreateTrunk {
        name: Some(args.name.clone()),
        ai_provider: Some(args.ai_provider.clone()),
        sip_username: Some(args.sip_username.clone()),
        sip_password: args.sip_password_file.as_deref().map(read_secret).transpose()?,
        openai_api_key,
        elevenlabs_api_key,
        elevenlabs_agent_id: args.elevenlabs_agent_id.clone(),
        custom_endpoint: args.custom_endpoint.clone(),
        system_prompt: args.system_prompt_file.as_deref().map(read_text).transpose()?,
        ..CreateTrunk::default()
    })
}

fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::new(Exit::Usage, format!("cannot read {}: {error}", path.display())))
}

/// Reads a secret from a file, without the trailing line break.
pub(crate) fn read_secret(path: &Path) -> Result<SecretText, Failure> {
    read_text(path).map(|text| SecretText::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

async fn create(args: CreateArgs) -> Result<(), Failure> {
    let request = request(&args)?;
    let created = with_client(&args.api, async |client| Ok(client.create_trunk(&request).await?)).await?;
    let password = created.sip_password.as_ref().map(SecretText::expose);
    if args.json {
        let mut value = serde_json::to_value(&created.trunk)
            .map_err(|error| Failure::doing("could not write JSON", &error))?;
        if let (Some(object), Some(password)) = (value.as_object_mut(), password) {
            object.insert("sip_password".to_owned(), json!(password));
        }
        return output::json(&value);
    }
    let trunk = &created.trunk;
    output::line(&format_args!("Created trunk {} ({})", trunk.id, trunk.name))?;
    output::line(&format_args!("  SIP endpoint    {}", trunk.sip_endpoint))?;
    output::line(&format_args!("  SIP username    {}", trunk.sip_username))?;
    if let Some(password) = password {
        output::line(&format_args!("  SIP password    {password}"))?;
        output::line(&"The password is not stored and cannot be shown again. Save it now.")?;
    }
    Ok(())
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let trunks = with_client(&args.api, all).await?;
    let empty = "No trunks. Create one with `telepath trunks create`.";
    let head = ["ID", "NAME", "STATUS", "PROVIDER", "SIP ENDPOINT"];
    pages::print(&trunks, args.json, empty, head, |trunk| {
        [
            trunk.id.to_string(),
            trunk.name.clone(),
            trunk.status.clone(),
            trunk.ai_provider.clone(),
            trunk.sip_endpoint.clone(),
        ]
    })
}

/// Every trunk of the account.
pub(crate) async fn all(client: &Client) -> Result<Vec<Trunk>, Failure> {
    let listing = pages::by_offset(MAX_TRUNKS, async |size, offset| {
        let query = TrunksQuery { limit: Some(size), offset: Some(offset), ..TrunksQuery::default() };
        client.list_trunks(&query).await
    })
    .await?;
    if listing.has_more {
        output::note(&format_args!("Only the first {MAX_TRUNKS} trunks were read."));
    }
    Ok(listing.items)
}
