//! The support bundle: what the pages about the system show, as one JSON file.

use bytes::Bytes;
use serde_json::{Value, json};
use telepath_core::clock::Timestamp;
use telepath_core::server_status::{ListenerReach, ServerStatus, SettingStatus, SettingValue};
use telepath_store::{Installation, SignedIn};

use super::health::{self, Circumstances, Finding};
use super::require_own_account;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::visit::Visit;

/// Queries: three about the installation.
pub(super) async fn download(visit: Visit, caller: SignedIn) -> Outcome {
    require_own_account(&visit, &caller)?;
    let (status, store) = (visit.shared.server.status(), visit.store());
    let installation = store.installation().await?;
    let here = Circumstances::of(store, visit.now);
    let bundle = contents(&status, &installation, &health::findings(&status, &here), visit.now);
    let text = serde_json::to_vec_pretty(&bundle).map_err(|error| Problem::Failed(error.to_string()))?;
    let day = crate::time::Zone::utc().date_field(visit.now);
    Ok(Reply::file(format!("telepath-support-{day}.json"), "application/json", Bytes::from(text)))
}

fn contents(status: &ServerStatus, installation: &Installation, health: &[Finding], now: Timestamp) -> Value {
    let media = status.media;
    json!({
        "created_at": now,
        "version": status.version,
        "uptime_seconds": status.uptime.as_secs(),
        "health": health.iter().map(finding).collect::<Vec<_>>(),
        "data_dir": status.data_dir,
        "database": {
            "product": installation.database,
            "bytes": installation.database_bytes,
            "oldest_request": installation.oldest_request,
        },
        "certificates": status.certificates.iter().map(|one| json!({
            "names": one.names,
            "expires_at": one.expires_at,
        })).collect::<Vec<_>>(),
        "listeners": status.listeners.iter().map(|one| json!({
            "name": one.name,
            "address": one.address,
            "reach": match one.reach {
                ListenerReach::Owner => "owner",
                ListenerReach::Machine => "machine",
                ListenerReach::Network => "network",
            },
        })).collect::<Vec<_>>(),
        "sip": {
            "listen": status.sip.listen.to_string(),
            "advertised": status.sip.advertised,
            "unreachable": status.sip.unreachable.map(|address| address.to_string()),
        },
        "media": {
            "calls": media.calls,
            "max_calls": media.max_calls,
            "rtp_ports": format!("{}-{}", media.ports.0, media.ports.1),
            "rtp_ports_in_use": media.ports_in_use,
        },
        "nodes": installation.nodes.iter().map(|node| json!({
            "id": node.id.to_string(),
            "name": node.name,
            "started_at": node.started_at,
            "alive_at": node.alive_at,
            "changes_behind": node.changes_behind,
            "self": node.is_self,
        })).collect::<Vec<_>>(),
        "settings": status.settings.iter().map(setting).collect::<serde_json::Map<_, _>>(),
    })
}

fn finding(finding: &Finding) -> Value {
    json!({ "level": finding.word(), "about": finding.about, "text": finding.text })
}

fn setting(setting: &SettingStatus) -> (String, Value) {
    let (value, is_secret) = match &setting.value {
        SettingValue::Unset => (None, false),
        SettingValue::Shown(text) => (Some(text), false),
        SettingValue::Secret => (None, true),
    };
    let shown = json!({ "value": value, "secret": is_secret, "source": setting.source.name(), "detail": setting.detail });
    (setting.key.to_owned(), shown)
}
