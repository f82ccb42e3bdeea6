//! `telepath serve`: the server.

use clap::Args;
use serde_json::json;
use telepath_gateway::SipTransport;

use super::arguments::{CommonArgs, ListenArgs};
use super::output;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::exit::Failure;
use crate::wire::{Addresses, Server};
use crate::{signals, telemetry};

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    listen: ListenArgs,
    /// When ready, print one JSON line instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the server until SIGTERM or SIGINT.
pub(crate) async fn run(args: ServeArgs) -> Result<(), Failure> {
    let layers = args.common.layers(Some(&args.listen))?;
    let config = Config::check(&layers)?;
    telemetry::start(&config.log);
    let stop = signals::stop_token()?;
    let data = DataDir::create(&config.storage.data_dir)?;
    let server = Server::start(&config, data).await?;
    announce(server.addresses(), server.setup_link().await?.as_deref(), args.json)?;
    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        failure = server.until_broken() => Err(failure),
    };
    tracing::info!("stopping");
    server.stop().await;
    tracing::info!("stopped");
    ended
}

/// `setup` is the link that creates the first user. It is printed and not logged, because whoever has it becomes the owner.
fn announce(addresses: &Addresses, setup: Option<&str>, as_json: bool) -> Result<(), Failure> {
    let api = format!("https://{}", addresses.api);
    let sip = format!("sip:{}", addresses.sip);
    let listeners = |transport: SipTransport| -> Vec<String> {
        let of_transport = addresses.sip_listeners.iter().filter(|(of, _)| *of == transport);
        of_transport.map(|(_, address)| format!("sip:{address};transport={}", transport.name())).collect()
    };
    let http = addresses.insecure_http.map(|address| format!("http://{address}"));
    let metrics = addresses.metrics.map(|address| format!("http://{address}/metrics"));
    if as_json {
        return output::json(&json!({
            "event": "ready",
            "api": api,
            "sip": sip,
            "sip_tcp": listeners(SipTransport::Tcp),
            "sip_tls": listeners(SipTransport::Tls),
            "insecure_http": http,
            "metrics": metrics,
            "dashboard": addresses.dashboard,
            "setup": setup,
            "admin_socket": addresses.admin_socket,
            "ca": addresses.ca,
        }));
    }
    output::line(&format_args!("api            {api}"))?;
    for (transport, address) in &addresses.sip_listeners {
        output::line(&format_args!("sip            sip:{address} ({})", transport.name()))?;
    }
    if let Some(http) = http {
        output::line(&format_args!("insecure http  {http}"))?;
    }
    if let Some(metrics) = metrics {
        output::line(&format_args!("metrics        {metrics}"))?;
    }
    if let Some(dashboard) = &addresses.dashboard {
        output::line(&format_args!("dashboard      {dashboard}"))?;
    }
    output::line(&format_args!("admin          {}", addresses.admin_socket.display()))?;
    if let Some(ca) = &addresses.ca {
        output::line(&format_args!("trust          {}", ca.display()))?;
    }
    if let Some(setup) = setup {
        output::line(&format_args!("set up         {setup}"))?;
        output::line(&"               Open this link within an hour to create the first user.")?;
    }
    output::line(&"ready")
}
