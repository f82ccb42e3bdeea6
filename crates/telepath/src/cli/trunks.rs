//! `telepath trunks`: manages trunks.

mod update;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use telepath_client::{Client, CreateTrunk, SecretText, Trunk, TrunkId, TrunksQuery};
use telepath_core::trunk::AiProvider;

use super::reach::{ApiArgs, with_client};
use super::{choices, output, pages};
use crate::exit::{Exit, Failure};

/// The maximum number of trunks that one command reads.
const MAX_TRUNKS: u32 = 100_000;

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
    /// Show a trunk; credentials are shown as set or not
    #[command(
        after_help = "Examples:\n  telepath trunks show conn_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data"
    )]
    Show(Box<OneArgs>),
    /// Update a trunk
    #[command(after_help = update::EXAMPLES)]
    Update(Box<update::UpdateArgs>),
    /// Delete a trunk; its live calls end, its call records stay
    #[command(
        after_help = "Examples:\n  telepath trunks delete conn_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data"
    )]
    Delete(Box<OneArgs>),
    /// Replace the SIP password; the new one is printed once, the old one stops working at once
    #[command(
        after_help = "Examples:\n  telepath trunks rotate-password conn_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data"
    )]
    RotatePassword(Box<OneArgs>),
}

/// Arguments of `trunks create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Name, 1 to 100 characters
    #[arg(long)]
    name: String,
    /// Agent provider
    #[arg(long, value_parser = choices::ai_providers())]
    ai_provider: String,
    /// User part of the SIP URI: 3 to 30 letters, digits or hyphens
    #[arg(long)]
    sip_username: String,
    /// File with the SIP password; generated if omitted
    #[arg(long, value_name = "FILE", help_heading = "Credentials")]
    sip_password_file: Option<PathBuf>,
    /// File with the provider's API key, for every provider but custom
    #[arg(long, value_name = "FILE", help_heading = "Credentials")]
    provider_key_file: Option<PathBuf>,
    /// ElevenLabs agent id, for elevenlabs
    #[arg(long, value_name = "ID")]
    elevenlabs_agent_id: Option<String>,
    /// Agent URL, for custom: wss://…, or ws:// on this machine
    #[arg(long, value_name = "URL")]
    custom_endpoint: Option<String>,
    /// How a custom agent is spoken to
    #[arg(long, value_parser = choices::agent_protocols())]
    agent_protocol: Option<String>,
    /// File with the system prompt, at most 32 KiB
    #[arg(long, value_name = "FILE")]
    system_prompt_file: Option<PathBuf>,
    /// Encryption of audio with SRTP: never, if the carrier offers it (default), or always
    #[arg(long, value_parser = choices::srtp_modes())]
    srtp: Option<String>,
    /// Model of the provider
    #[arg(long)]
    model: Option<String>,
    /// Voice of the provider
    #[arg(long, value_name = "VOICE")]
    voice_id: Option<String>,
    /// What the agent says first
    #[arg(long, value_name = "TEXT")]
    greeting: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Arguments of `trunks list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Only trunks with this status
    #[arg(long, value_parser = choices::trunk_statuses(), help_heading = "Filters")]
    status: Option<String>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Arguments of commands about one trunk.
#[derive(Debug, Args)]
pub(crate) struct OneArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Trunk id, conn_…
    id: TrunkId,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs a command.
pub(crate) async fn run(command: TrunksCommand) -> Result<(), Failure> {
    match command {
        TrunksCommand::Create(args) => create(*args).await,
        TrunksCommand::List(args) => list(*args).await,
        TrunksCommand::Show(args) => show(*args).await,
        TrunksCommand::Update(args) => update::run(*args).await,
        TrunksCommand::Delete(args) => delete(*args).await,
        TrunksCommand::RotatePassword(args) => rotate_password(*args).await,
    }
}

fn request(args: &CreateArgs) -> Result<CreateTrunk, Failure> {
    let provider_key = args.provider_key_file.as_deref().map(read_secret).transpose()?;
    let keys = match AiProvider::from_name(&args.ai_provider) {
        Some(AiProvider::OpenAi) => CreateTrunk { openai_api_key: provider_key, ..CreateTrunk::default() },
        Some(AiProvider::ElevenLabs) => {
            CreateTrunk { elevenlabs_api_key: provider_key, ..CreateTrunk::default() }
        }
        Some(AiProvider::Deepgram) => {
            CreateTrunk { deepgram_api_key: provider_key, ..CreateTrunk::default() }
        }
        Some(AiProvider::Gemini) => CreateTrunk { gemini_api_key: provider_key, ..CreateTrunk::default() },
        Some(AiProvider::Custom) | None if provider_key.is_some() => {
            let text = format!("the provider {} has no API key", args.ai_provider);
            return Err(Failure::new(Exit::Usage, text).remedy("Leave out --provider-key-file."));
        }
        Some(AiProvider::Custom) | None => CreateTrunk::default(),
    };
    Ok(CreateTrunk {
        name: Some(args.name.clone()),
        ai_provider: Some(args.ai_provider.clone()),
        sip_username: Some(args.sip_username.clone()),
        sip_password: args.sip_password_file.as_deref().map(read_secret).transpose()?,
        elevenlabs_agent_id: args.elevenlabs_agent_id.clone(),
        custom_endpoint: args.custom_endpoint.clone(),
        agent_protocol: args.agent_protocol.clone(),
        system_prompt: args.system_prompt_file.as_deref().map(read_text).transpose()?,
        srtp: args.srtp.clone(),
        model: args.model.clone(),
        voice_id: args.voice_id.clone(),
        greeting: args.greeting.clone(),
        ..keys
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
    let status = args.status.as_deref();
    let trunks = with_client(&args.api, async |client| with_status(client, status).await).await?;
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

async fn show(args: OneArgs) -> Result<(), Failure> {
    let trunk = with_client(&args.api, async |client| Ok(client.get_trunk(args.id).await?)).await?;
    if args.json { output::json(&trunk) } else { output::raw(describe(&trunk).as_bytes()) }
}

fn describe(trunk: &Trunk) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let any = |values: &[String], none: &str| {
        if values.is_empty() { none.to_owned() } else { values.join(", ") }
    };
    let credential = trunk.credentials().map(|(_, state)| {
        state.last4.as_ref().map_or_else(|| "set".to_owned(), |last4| format!("set, ends in {last4}"))
    });
    let status = match &trunk.status_reason {
        None => trunk.status.clone(),
        Some(reason) => format!("{}: {reason}", trunk.status),
    };
    output::facts(&[
        ("Trunk", trunk.id.to_string()),
        ("Name", trunk.name.clone()),
        ("Status", status),
        ("SIP endpoint", trunk.sip_endpoint.clone()),
        ("Provider", trunk.ai_provider.clone()),
        ("Agent URL", text(&trunk.custom_endpoint)),
        ("Agent protocol", trunk.agent_protocol.clone()),
        ("ElevenLabs agent", text(&trunk.elevenlabs_agent_id)),
        ("Model", text(&trunk.model)),
        ("Voice", text(&trunk.voice_id)),
        ("Greeting", text(&trunk.greeting)),
        ("Credential", credential.into_iter().next().unwrap_or_else(|| "not set".to_owned())),
        ("Without digest", any(&trunk.allowed_ips, "no network")),
        ("SRTP", trunk.srtp.clone()),
        ("Numbers", any(&trunk.inbound_numbers, "any")),
        ("Calls today", trunk.metrics.calls_today.to_string()),
        ("Created", trunk.created_at.to_string()),
        ("Updated", trunk.updated_at.to_string()),
    ])
}

async fn delete(args: OneArgs) -> Result<(), Failure> {
    with_client(&args.api, async |client| Ok(client.delete_trunk(args.id).await?)).await?;
    if args.json {
        return output::json(&json!({ "id": args.id, "deleted": true }));
    }
    output::line(&format_args!("Deleted trunk {}.", args.id))
}

async fn rotate_password(args: OneArgs) -> Result<(), Failure> {
    let rotated =
        with_client(&args.api, async |client| Ok(client.rotate_sip_password(args.id).await?)).await?;
    let password = rotated.sip_password.expose();
    if args.json {
        return output::json(&json!({
            "id": rotated.id,
            "sip_username": rotated.sip_username,
            "sip_password": password,
            "rotated_at": rotated.rotated_at,
        }));
    }
    output::line(&format_args!("Rotated the SIP password of trunk {}", rotated.id))?;
    output::line(&format_args!("  SIP username    {}", rotated.sip_username))?;
    output::line(&format_args!("  SIP password    {password}"))?;
    output::line(&"The password is not stored and cannot be shown again. Save it now.")
}

/// Every trunk of the account.
pub(crate) async fn all(client: &Client) -> Result<Vec<Trunk>, Failure> {
    with_status(client, None).await
}

/// Every trunk of the account with a status.
async fn with_status(client: &Client, status: Option<&str>) -> Result<Vec<Trunk>, Failure> {
    let listing = pages::by_cursor(MAX_TRUNKS, async |size, cursor| {
        let query = TrunksQuery {
            status: status.map(str::to_owned),
            limit: Some(size),
            cursor,
            ..TrunksQuery::default()
        };
        client.list_trunks(&query).await
    })
    .await?;
    if listing.has_more {
        output::note(&format_args!("Only the first {MAX_TRUNKS} trunks were read."));
    }
    Ok(listing.items)
}
