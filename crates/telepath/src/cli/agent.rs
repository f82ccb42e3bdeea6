//! `telepath agent`: built-in agents. The echo agent repeats what it hears, so that a trunk can be tested before a real agent
//! exists.

use std::net::SocketAddr;

use clap::{Args, Subcommand};
use serde_json::json;
use telepath_gateway::echo_agent::EchoAgent;

use super::output;
use crate::config::{LogConfig, LogFormat};
use crate::exit::{Exit, Failure};
use crate::{signals, telemetry};

/// The built-in agents.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Run an agent that repeats what it hears, using telepath.v1 over WebSocket
    #[command(
        after_help = "Examples:\n  telepath agent echo\n  telepath agent echo --listen 127.0.0.1:0 --json"
    )]
    Echo(EchoArgs),
}

/// Arguments of `agent echo`.
#[derive(Debug, Args)]
pub(crate) struct EchoArgs {
    /// WebSocket listener, IP:PORT; port 0 lets the system choose
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// When ready, print one JSON line instead of text
    #[arg(long)]
    json: bool,
}

/// Runs an agent until SIGTERM or SIGINT.
pub(crate) async fn run(command: AgentCommand) -> Result<(), Failure> {
    let AgentCommand::Echo(args) = command;
    telemetry::start(&LogConfig { format: LogFormat::Text, level: "info".to_owned() });
    let stop = signals::stop_token()?;
    let agent = EchoAgent::start(args.listen).await.map_err(|error| {
        Failure::new(Exit::Busy, error.to_string()).remedy("Choose another port with --listen.")
    })?;
    if args.json {
        output::json(&json!({ "event": "ready", "url": agent.url() }))?;
    } else {
        output::line(&format_args!("The echo agent listens on {}", agent.url()))?;
    }
    stop.cancelled().await;
    agent.shutdown().await;
    Ok(())
}
