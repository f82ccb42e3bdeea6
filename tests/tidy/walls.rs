//! The walls between the crates, proved by what `cargo tree` says each one depends on.

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

fn sees_none_of(package: &str, forbidden: &[&str]) {
    let found = dependencies(package);
    let broken: Vec<String> =
        forbidden.iter().filter(|name| found.contains(**name)).map(ToString::to_string).collect();
    report(&format!("{package} must be built without"), &broken);
}

/// Runtimes, sockets, randomness and clocks: what a crate without I/O cannot need.
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
fn signalling_has_no_io_and_sees_no_other_room() {
    sees_none_of("telepath-sip", &SHELL);
    sees_none_of("telepath-sip", &["telepath-media", "telepath-core", "telepath-store", "telepath-api"]);
}

#[test]
fn media_has_no_io_and_sees_no_other_room() {
    sees_none_of("telepath-media", &SHELL);
    sees_none_of("telepath-media", &["telepath-sip", "telepath-core", "telepath-store", "telepath-api"]);
}

#[test]
fn the_domain_knows_neither_storage_nor_http() {
    let forbidden = ["tokio", "mio", "sqlx", "axum", "hyper", "rustls", "telepath-sip", "telepath-media"];
    sees_none_of("telepath-core", &forbidden);
    sees_none_of("telepath-core", &["telepath-store", "telepath-api", "telepath-gateway", "telepath-client"]);
}

#[test]
fn the_store_sees_the_domain_only() {
    let forbidden = ["axum", "hyper", "telepath-api", "telepath-gateway", "telepath-sip", "telepath-media"];
    sees_none_of("telepath-store", &forbidden);
}

#[test]
fn the_api_does_not_see_the_media_plane() {
    sees_none_of("telepath-api", &["telepath-gateway", "telepath-sip", "telepath-media", "telepath-client"]);
}

#[test]
fn the_gateway_does_not_see_the_control_plane() {
    sees_none_of("telepath-gateway", &["telepath-store", "telepath-api", "telepath-client", "sqlx", "axum"]);
}

#[test]
fn the_client_sees_no_room_of_the_server() {
    sees_none_of("telepath-client", &["telepath-store", "telepath-api", "telepath-gateway", "sqlx", "axum"]);
}

#[test]
fn the_way_out_knows_nothing_of_what_is_said_on_it() {
    let forbidden =
        ["hyper", "axum", "sqlx", "tungstenite", "telepath-store", "telepath-api", "telepath-gateway"];
    sees_none_of("telepath-egress", &forbidden);
}

#[test]
fn nothing_else_of_the_server_connects_to_others() {
    /// The library for clients of the server, and the test caller, to whom the person who runs it says where to call.
    const CLIENTS: [&str; 2] = ["crates/telepath-client/", "crates/telepath-gateway/src/caller/"];
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
fn one_crate_names_the_sql_library_and_one_the_http_framework() {
    let broken: Vec<String> = sources()
        .iter()
        .filter(|source| source.path.starts_with("crates/") && source.path.ends_with("/Cargo.toml"))
        .flat_map(|source| {
            [("sqlx", "crates/telepath-store/"), ("axum", "crates/telepath-api/")].into_iter().filter_map(
                |(library, room)| {
                    let named = source.text.lines().any(|line| line.starts_with(library));
                    (named && !source.path.starts_with(room))
                        .then(|| format!("{} names {library}", source.path))
                },
            )
        })
        .collect();
    report("a library that has a room of its own is not used from another", &broken);
}

#[test]
fn one_cryptographic_provider_and_one_tls_stack_are_built_in() {
    sees_none_of("telepath", &["ring", "openssl", "openssl-sys", "native-tls"]);
}
