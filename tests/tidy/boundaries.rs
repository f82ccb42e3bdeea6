//! The boundaries between the crates, checked against the dependencies that `cargo tree` lists for each one.

use std::collections::BTreeSet;
use std::process::Command;

use super::{report, root, sources};

/// Every crate that `package` is built from, itself left out; development dependencies do not count.
fn dependencies(package: &str) -> BTreeSet<String> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .args(["--package", package])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: BTreeSet<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    assert!(found.contains(package), "cargo tree shows the package itself");
    found.into_iter().filter(|name| name != package).collect()
}

fn depends_on_none_of(package: &str, forbidden: &[&str]) {
    let found = dependencies(package);
    let broken: Vec<String> =
        forbidden.iter().filter(|name| found.contains(**name)).map(ToString::to_string).collect();
    report(&format!("{package} must be built without"), &broken);
}

/// Runtimes, sockets, randomness and clocks, which a crate without I/O does not need.
const SHELL: [&str; 11] = [
    "tokio",
    "mio",
    "socket2",
    "hyper",
    "axum",
    "rustls",
    "sqlx",
    "rand",
    "getrandom",
    "async-std",
    "tracing",
];

#[test]
fn sip_has_no_io_and_depends_on_no_other_crate_of_the_workspace() {
    depends_on_none_of("telepath-sip", &SHELL);
    depends_on_none_of(
        "telepath-sip",
        &["telepath-media", "telepath-core", "telepath-store", "telepath-api"],
    );
}

#[test]
fn media_has_no_io_and_depends_on_no_other_crate_of_the_workspace() {
    depends_on_none_of("telepath-media", &SHELL);
    depends_on_none_of(
        "telepath-media",
        &["telepath-sip", "telepath-core", "telepath-store", "telepath-api"],
    );
}

#[test]
fn core_depends_on_neither_storage_nor_http() {
    let forbidden =
        ["tokio", "mio", "sqlx", "axum", "hyper", "rustls", "utoipa", "telepath-sip", "telepath-media"];
    depends_on_none_of("telepath-core", &forbidden);
    depends_on_none_of(
        "telepath-core",
        &["telepath-store", "telepath-api", "telepath-gateway", "telepath-client"],
    );
}

#[test]
fn api_types_are_plain_data_and_the_client_is_built_without_openapi() {
    let forbidden = ["tokio", "mio", "sqlx", "axum", "hyper", "rustls", "utoipa"];
    depends_on_none_of("telepath-api-types", &forbidden);
    depends_on_none_of(
        "telepath-api-types",
        &["telepath-store", "telepath-api", "telepath-gateway", "telepath-client"],
    );
    depends_on_none_of("telepath-client", &["utoipa"]);
}

#[test]
fn the_store_depends_on_core_only() {
    let forbidden = ["axum", "hyper", "telepath-api", "telepath-gateway", "telepath-sip", "telepath-media"];
    depends_on_none_of("telepath-store", &forbidden);
}

#[test]
fn the_api_does_not_depend_on_the_media_plane() {
    depends_on_none_of(
        "telepath-api",
        &["telepath-gateway", "telepath-sip", "telepath-media", "telepath-client"],
    );
}

#[test]
fn the_dashboard_depends_on_core_store_and_the_http_server_only() {
    let forbidden = [
        "telepath-api",
        "telepath-api-types",
        "telepath-client",
        "telepath-gateway",
        "telepath-sip",
        "telepath-media",
        "telepath-egress",
        "axum",
    ];
    depends_on_none_of("telepath-dashboard", &forbidden);
}

#[test]
fn the_http_server_depends_on_neither_the_framework_nor_the_store() {
    let forbidden =
        ["axum", "sqlx", "utoipa", "metrics", "telepath-store", "telepath-api", "telepath-egress"];
    depends_on_none_of("telepath-http", &forbidden);
    depends_on_none_of("telepath-http", &["telepath-gateway", "telepath-sip", "telepath-media"]);
}

#[test]
fn the_http_server_knows_no_keys_and_no_accounts() {
    /// The parts of telepath-core that are not about the domain of one application.
    const NEUTRAL: [&str; 4] = ["address::", "clock::", "entropy::", "id::"];
    let broken: Vec<String> = sources()
        .iter()
        .filter(|source| source.path.starts_with("crates/telepath-http/") && source.is_rust())
        .flat_map(|source| {
            let foreign = |line: &str| {
                let named = line.split("telepath_core::").nth(1);
                let neutral = |item: &str| NEUTRAL.iter().any(|part| item.starts_with(part));
                named.is_some_and(|item| !neutral(item))
                    || line.contains("KeyId")
                    || line.contains("AccountId")
            };
            let found = source.numbered().filter(move |(_, line)| foreign(line));
            found.map(|(number, _)| format!("{}:{number}", source.path)).collect::<Vec<_>>()
        })
        .collect();
    report("telepath-http serves any application, so it names no domain type of one", &broken);
}

#[test]
fn the_gateway_does_not_depend_on_the_control_plane() {
    depends_on_none_of(
        "telepath-gateway",
        &["telepath-store", "telepath-api", "telepath-client", "sqlx", "axum"],
    );
}

#[test]
fn the_client_does_not_depend_on_the_server() {
    depends_on_none_of(
        "telepath-client",
        &["telepath-store", "telepath-api", "telepath-gateway", "sqlx", "axum"],
    );
}

#[test]
fn egress_knows_no_protocol_above_tls() {
    let forbidden =
        ["hyper", "axum", "sqlx", "tungstenite", "telepath-store", "telepath-api", "telepath-gateway"];
    depends_on_none_of("telepath-egress", &forbidden);
}

#[test]
fn outbound_connections_go_through_egress() {
    /// The client library, and the test caller, whose destination its user names; requests of a SIP call, which go where the
    /// carrier's Contact or route says, as datagrams do; and the look-up of the server's own name, which connects to nobody.
    const CLIENTS: [&str; 5] = [
        "crates/telepath-client/",
        "crates/telepath-gateway/src/caller/",
        "crates/telepath-gateway/src/transport/opened.rs",
        "crates/telepath-gateway/src/advertised.rs",
        // Tests.
        "crates/telepath-store/src/suite/",
    ];
    let broken: Vec<String> = sources()
        .iter()
        .filter(|source| source.path.starts_with("crates/") && source.is_rust())
        .filter(|source| !source.path.starts_with("crates/telepath-egress/"))
        .filter(|source| !CLIENTS.iter().any(|path| source.path.starts_with(path)))
        .flat_map(|source| {
            let tests = source.test_lines().next().map_or(usize::MAX, |(number, _)| number);
            let connects = |line: &str| {
                ["TcpStream::connect", "TcpSocket::", "lookup_host", "connect_async("]
                    .iter()
                    .any(|call| line.contains(call))
            };
            let found = source.numbered().filter(move |(number, line)| *number < tests && connects(line));
            found.map(|(number, _)| format!("{}:{number}", source.path)).collect::<Vec<_>>()
        })
        .collect();
    report("connections to others go through telepath-egress", &broken);
}

#[test]
fn sqlx_and_axum_are_dependencies_of_one_crate_each() {
    let broken: Vec<String> = sources()
        .iter()
        .filter(|source| source.path.starts_with("crates/") && source.path.ends_with("/Cargo.toml"))
        .flat_map(|source| {
            [("sqlx", "crates/telepath-store/"), ("axum", "crates/telepath-api/")].into_iter().filter_map(
                |(library, owner)| {
                    let named = source.text.lines().any(|line| line.starts_with(library));
                    (named && !source.path.starts_with(owner))
                        .then(|| format!("{} names {library}", source.path))
                },
            )
        })
        .collect();
    report("a library that belongs to one crate is not a dependency of another", &broken);
}

#[test]
fn one_cryptographic_provider_and_one_tls_stack_are_built_in() {
    depends_on_none_of("telepath", &["ring", "openssl", "openssl-sys", "native-tls"]);
}
