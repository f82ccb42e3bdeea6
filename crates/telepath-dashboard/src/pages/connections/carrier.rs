//! What to enter at the carrier. The fourth page of a new connection, and a page of every connection.

use askama::Template;
use telepath_store::SignedIn;

use super::carriers::{CARRIERS, Carrier, Part, Proof, parts};
use super::{crumbs_below, path_of, trunk_of, uri_of};
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "pages/connection_carrier.html")]
struct Page {
    shell: Shell,
    is_new: bool,
    path: String,
    uri: String,
    host: String,
    username: String,
    carriers: Vec<Link>,
    carrier: &'static Carrier,
    steps: Vec<Vec<Part>>,
    /// The carrier answers no challenge, and the connection does not allow its networks or numbers yet.
    lacks_networks: bool,
    lacks_numbers: bool,
}

struct Link {
    name: &'static str,
    path: String,
    current: bool,
}

pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let trunk = trunk_of(&visit, &caller).await?;
    let (path, host) = (path_of(trunk.id), visit.shared.options.sip_host.clone());
    let (uri, username) = (uri_of(&visit, &trunk.sip_username), trunk.sip_username.to_string());
    let is_new = visit.query.is_checked("new");
    let carrier = Carrier::named(visit.query.text("carrier"));
    let link = |one: &Carrier| Link {
        name: one.name,
        path: format!("{path}/carrier?carrier={}{}", one.value, if is_new { "&new=1" } else { "" }),
        current: one.value == carrier.value,
    };
    let (udp_uri, host_uri) = (format!("{uri};transport=udp"), format!("sip:{host}"));
    let values = [
        ("uri", uri.as_str()),
        ("udp_uri", udp_uri.as_str()),
        ("host", host.as_str()),
        ("host_uri", host_uri.as_str()),
        ("user", username.as_str()),
    ];
    let needs_networks = carrier.proof == Proof::Networks;
    Reply::page(&Page {
        is_new,
        carriers: CARRIERS.iter().map(link).collect(),
        steps: carrier.steps.iter().map(|step| parts(step, &values)).collect(),
        lacks_networks: needs_networks && trunk.allowed_ips.to_string().is_empty(),
        lacks_numbers: needs_networks && trunk.settings.inbound_numbers.is_empty(),
        carrier,
        shell: Shell::new(&visit, &caller, crumbs_below(&trunk), "Carrier").await?,
        path,
        uri,
        host,
        username,
    })
}
