//! `telepath trunks update`.

use std::path::PathBuf;

use clap::Args;
use telepath_client::{Patch, TrunkId, UpdateTrunk};

use super::{describe, read_secret, read_text};
use crate::cli::reach::{ApiArgs, with_client};
use crate::cli::{choices, output};
use crate::exit::{Exit, Failure};

pub(super) const EXAMPLES: &str = "\
Examples:
  telepath trunks update conn_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --status inactive
  telepath trunks update conn_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --custom-endpoint wss://agent.example/voice
  telepath trunks update conn_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --allow-ip 203.0.113.0/24";

/// Arguments of `trunks update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Trunk id, conn_…
    id: TrunkId,
    /// New name
    #[arg(long, help_heading = "Changes")]
    name: Option<String>,
    /// New status: an inactive trunk refuses calls
    #[arg(long, value_parser = ["active", "inactive"], help_heading = "Changes")]
    status: Option<String>,
    /// New agent URL, for custom: wss://…, or ws:// on this machine
    #[arg(long, value_name = "URL", help_heading = "Changes")]
    custom_endpoint: Option<String>,
    /// New ElevenLabs agent id, for elevenlabs
    #[arg(long, value_name = "ID", help_heading = "Changes")]
    elevenlabs_agent_id: Option<String>,
    /// File with the OpenAI API key, for openai
    #[arg(long, value_name = "FILE", help_heading = "Changes")]
    openai_key_file: Option<PathBuf>,
    /// File with the ElevenLabs API key, for elevenlabs
    #[arg(long, value_name = "FILE", help_heading = "Changes")]
    elevenlabs_key_file: Option<PathBuf>,
    /// File with the Deepgram API key, for deepgram
    #[arg(long, value_name = "FILE", help_heading = "Changes")]
    deepgram_key_file: Option<PathBuf>,
    /// File with the Gemini API key, for gemini
    #[arg(long, value_name = "FILE", help_heading = "Changes")]
    gemini_key_file: Option<PathBuf>,
    /// How a custom agent is spoken to, for custom
    #[arg(long, value_parser = choices::agent_protocols(), help_heading = "Changes")]
    agent_protocol: Option<String>,
    /// Model of the provider; an empty value takes the default
    #[arg(long, help_heading = "Changes")]
    model: Option<String>,
    /// Voice of the provider; an empty value takes the default
    #[arg(long, value_name = "VOICE", help_heading = "Changes")]
    voice_id: Option<String>,
    /// What the agent says first; an empty value removes it
    #[arg(long, value_name = "TEXT", help_heading = "Changes")]
    greeting: Option<String>,
    /// File with the system prompt, at most 32 KiB; an empty file removes it
    #[arg(long, value_name = "FILE", help_heading = "Changes")]
    system_prompt_file: Option<PathBuf>,
    /// Carrier network that may call without digest authentication, in CIDR form, replacing the current ones; repeatable
    #[arg(long, value_name = "CIDR", conflicts_with = "require_digest", help_heading = "Changes")]
    allow_ip: Vec<String>,
    /// Require digest authentication from every network
    #[arg(long, help_heading = "Changes")]
    require_digest: bool,
    /// Number in E.164 form that callers may dial, replacing the current ones; repeatable
    #[arg(long, value_name = "NUMBER", conflicts_with = "any_number", help_heading = "Changes")]
    number: Vec<String>,
    /// Allow callers to dial any number
    #[arg(long, help_heading = "Changes")]
    any_number: bool,
    /// Encryption of audio with SRTP: never, if the carrier offers it, or always
    #[arg(long, value_parser = choices::srtp_modes(), help_heading = "Changes")]
    srtp: Option<String>,
    /// Print the trunk as a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: UpdateArgs) -> Result<(), Failure> {
    let change = change(&args)?;
    let trunk =
        with_client(&args.api, async |client| Ok(client.update_trunk(args.id, &change).await?)).await?;
    if args.json { output::json(&trunk) } else { output::raw(describe(&trunk).as_bytes()) }
}

fn change(args: &UpdateArgs) -> Result<UpdateTrunk, Failure> {
    let list = |values: &Vec<String>, clear: bool| (clear || !values.is_empty()).then(|| values.clone());
    let (allowed_ips, inbound_numbers) =
        (list(&args.allow_ip, args.require_digest), list(&args.number, args.any_number));
    let nothing = args.name.is_none()
        && args.status.is_none()
        && args.custom_endpoint.is_none()
        && args.elevenlabs_agent_id.is_none()
        && args.openai_key_file.is_none()
        && args.elevenlabs_key_file.is_none()
        && args.deepgram_key_file.is_none()
        && args.gemini_key_file.is_none()
        && args.agent_protocol.is_none()
        && args.model.is_none()
        && args.voice_id.is_none()
        && args.greeting.is_none()
        && args.system_prompt_file.is_none()
        && args.srtp.is_none()
        && allowed_ips.is_none()
        && inbound_numbers.is_none();
    if nothing {
        return Err(
            Failure::new(Exit::Usage, "nothing to change").remedy("Pass at least one change; see --help.")
        );
    }
    let text = |given: Option<String>| match given {
        None => Patch::Keep,
        Some(text) if text.is_empty() => Patch::Clear,
        Some(text) => Patch::Set(text),
    };
    Ok(UpdateTrunk {
        name: args.name.clone(),
        status: args.status.clone(),
        custom_endpoint: args.custom_endpoint.clone(),
        elevenlabs_agent_id: args.elevenlabs_agent_id.clone(),
        openai_api_key: args.openai_key_file.as_deref().map(read_secret).transpose()?,
        elevenlabs_api_key: args.elevenlabs_key_file.as_deref().map(read_secret).transpose()?,
        deepgram_api_key: args.deepgram_key_file.as_deref().map(read_secret).transpose()?,
        gemini_api_key: args.gemini_key_file.as_deref().map(read_secret).transpose()?,
        agent_protocol: args.agent_protocol.clone(),
        system_prompt: text(args.system_prompt_file.as_deref().map(read_text).transpose()?),
        model: text(args.model.clone()),
        voice_id: text(args.voice_id.clone()),
        greeting: text(args.greeting.clone()),
        allowed_ips,
        inbound_numbers,
        srtp: args.srtp.clone(),
        ..UpdateTrunk::default()
    })
}
