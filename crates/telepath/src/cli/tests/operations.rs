//! Every operation of the API has a command, which sends the request of that operation; and no command but those that set up a
//! server creates a data folder.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::*;
use crate::temporary::TemporaryFolder;

const PUBLISHED: &str = include_str!("../../../../telepath-api/openapi.json");
const LOCAL: &str = include_str!("../../../../telepath-api/openapi-local.json");
const SECRET: &str = "sk_live_0000000000000000000000000000000000000000000abcdef";

/// Operations without a command, each for a reason: those that people read in a browser or that programs poll, that a
/// secret-scanning partner signs, and the other names of an operation.
const WITHOUT_COMMAND: &[&str] = &[
    "GET /.well-known/security.txt",
    "GET /.well-known/telepath-key-pattern.json",
    "GET /livez",
    "GET /metrics",
    "GET /openapi.json",
    "GET /readyz",
    "POST /v1/keys/secret-scanning",
    "DELETE /v1/keys/{id}",
    "POST /v1/trunks/{id}/rotate-password",
];

/// Each operation, and the command that sends it. A word in capitals stands for an id.
const COMMANDS: &[(&str, &str)] = &[
    ("GET /v1/whoami", "whoami"),
    ("GET /v1/account", "account show"),
    ("PATCH /v1/account", "account update --keys-must-expire true"),
    ("GET /v1/alerts", "alerts list"),
    ("POST /v1/alerts/{id}/acknowledge", "alerts ack ALERT"),
    ("POST /v1/alerts/test", "alerts test"),
    ("GET /v1/audit-events", "audit list"),
    ("GET /v1/audit-events/verify", "audit verify"),
    ("GET /v1/calls", "calls list --status connected"),
    ("GET /v1/calls/{id}", "calls show CALL"),
    ("DELETE /v1/calls/{id}", "calls erase CALL --yes"),
    ("POST /v1/calls/erase", "calls erase --number +15550100123 --yes"),
    ("GET /v1/calls/{id}/sip-trace", "calls trace CALL"),
    ("POST /v1/calls/{id}/hangup", "calls hangup CALL"),
    ("GET /v1/deliveries", "webhooks deliveries --call CALL"),
    ("GET /v1/deliveries/{id}", "webhooks delivery DELIVERY"),
    ("POST /v1/deliveries/{id}/redeliver", "webhooks redeliver DELIVERY"),
    ("GET /v1/key-presets", "keys presets list"),
    ("DELETE /v1/key-presets/{name}", "keys presets reset testing"),
    ("PATCH /v1/key-presets/{name}", "keys presets set testing --rate-limit 5"),
    ("GET /v1/keys", "keys list"),
    ("POST /v1/keys", "keys create --name n --preset testing --scopes calls:read"),
    ("POST /v1/keys/report-leak", "keys report-leak --file FILE"),
    ("POST /v1/keys/rotate-all", "keys rotate-all --yes"),
    ("GET /v1/keys/{id}", "keys show KEY"),
    ("PATCH /v1/keys/{id}", "keys update KEY --name n"),
    ("POST /v1/keys/{id}/pause", "keys pause KEY"),
    ("POST /v1/keys/{id}/resume", "keys resume KEY"),
    ("POST /v1/keys/{id}/revoke", "keys revoke KEY"),
    ("POST /v1/keys/{id}/rotate", "keys rotate KEY"),
    ("POST /v1/keys/{id}/secrets/{secret_id}/revoke", "keys end-secret KEY SECRET_ID"),
    ("GET /v1/keys/{id}/usage", "keys usage KEY"),
    ("GET /v1/analytics/summary", "analytics summary --group-by reason"),
    ("GET /v1/analytics/timeseries", "analytics timeseries --interval day"),
    ("GET /v1/analytics/comparison", "analytics compare TRUNK OTHER_TRUNK"),
    ("GET /v1/stream", "stream --kind calls"),
    ("GET /v1/usage", "keys usage KEY KEY"),
    ("GET /v1/requests", "requests list"),
    ("GET /v1/trunks", "trunks list"),
    (
        "POST /v1/trunks",
        "trunks create --name n --ai-provider custom --sip-username u-1 --custom-endpoint wss://a.example",
    ),
    ("DELETE /v1/trunks/{id}", "trunks delete TRUNK"),
    ("GET /v1/trunks/{id}", "trunks show TRUNK"),
    ("PATCH /v1/trunks/{id}", "trunks update TRUNK --status inactive"),
    ("POST /v1/trunks/{id}/rotate-sip-password", "trunks rotate-password TRUNK"),
    ("GET /v1/webhooks", "webhooks list"),
    ("POST /v1/webhooks", "webhooks create --url https://a.example"),
    ("DELETE /v1/webhooks/{id}", "webhooks delete WEBHOOK"),
    ("GET /v1/webhooks/{id}", "webhooks show WEBHOOK"),
    ("PATCH /v1/webhooks/{id}", "webhooks update WEBHOOK --status active"),
    ("GET /v1/webhooks/{id}/deliveries", "webhooks deliveries WEBHOOK"),
    ("POST /v1/webhooks/{id}/recover", "webhooks recover WEBHOOK --since 1h"),
    ("POST /v1/webhooks/{id}/rotate-secret", "webhooks rotate-secret WEBHOOK"),
    ("POST /v1/webhooks/{id}/test", "webhooks test WEBHOOK"),
];

/// The same for local administration.
const LOCAL_COMMANDS: &[(&str, &str)] = &[
    ("GET /local/accounts", "accounts list"),
    ("POST /local/accounts", "accounts create --name n"),
    ("GET /local/accounts/{id}", "accounts show ACCOUNT"),
    ("PATCH /local/accounts/{id}", "accounts update ACCOUNT --name n"),
    ("GET /local/keyring", "keyring status"),
    ("POST /local/keyring/keys", "keyring add"),
    ("POST /local/keyring/rotate", "keyring rotate"),
    ("POST /local/keyring/prune", "keyring prune"),
    ("GET /local/sip/strangers", "sip strangers"),
    ("GET /local/users", "users list"),
    ("POST /local/users", "users add ada@example.com --role owner"),
    ("GET /local/users/invitations", "users invitations"),
    ("POST /local/users/invitations", "users invite ada@example.com --role owner"),
    ("DELETE /local/users/invitations/{id}", "users invitations --revoke INVITATION"),
    ("POST /local/users/second-factor/remove", "users remove-second-factor ada@example.com"),
    ("POST /local/users/disable", "users disable ada@example.com"),
    ("POST /local/users/enable", "users enable ada@example.com"),
    ("POST /local/users/password-code", "users reset-password ada@example.com"),
    ("POST /local/users/role", "users roles ada@example.com --set admin"),
];

/// Commands that send the requests of several operations.
const COMPOSED: &[&str] = &[
    "compromise KEY --yes",
    "requests tail",
    "requests export",
    "webhooks listen --forward-to http://127.0.0.1:9/",
];

/// The words of a command, with an id for each placeholder.
fn words(command: &str, file: &Path) -> Vec<String> {
    let id = |prefix: &str| format!("{prefix}_00000000000000000000000000");
    let word = |word: &str| match word {
        "ALERT" => id("alr"),
        "INVITATION" => id("inv"),
        "CALL" => id("call"),
        "DELIVERY" => id("dlv"),
        "KEY" => id("key"),
        "SECRET_ID" => id("sec"),
        "TRUNK" => id("conn"),
        "OTHER_TRUNK" => "conn_00000000000000000000000001".to_owned(),
        "WEBHOOK" => id("whk"),
        "ACCOUNT" => id("acct"),
        "FILE" => file.to_string_lossy().into_owned(),
        word => word.to_owned(),
    };
    command.split(' ').map(word).collect()
}

fn run_words(words: Vec<String>) -> ExitCode {
    run(std::iter::once("telepath".to_owned()).chain(words).map(OsString::from))
}

fn operations(document: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(document).unwrap();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let methods = methods.as_object().unwrap().keys().filter(|name| *name != "parameters");
        operations.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    operations
}

/// `METHOD /path` of the requests that a server received. It refuses all of them.
#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<String>>>);

impl Received {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn serve(&self, stream: impl Read + Write) {
        let mut stream = BufReader::new(stream);
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                if stream.read_until(b'\n', &mut head).unwrap_or(0) == 0 {
                    return;
                }
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<u64>().ok()
            });
            let mut body = Vec::new();
            stream.by_ref().take(length.unwrap_or(0)).read_to_end(&mut body).unwrap();
            let target = head.split(' ').take(2).collect::<Vec<_>>().join(" ");
            self.0.lock().unwrap().push(target.split('?').next().unwrap().to_owned());
            let body = r#"{"error":{"code":"NOT_FOUND","message":"refused by the test","status":404}}"#;
            let head = "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: ";
            if write!(stream.get_mut(), "{head}{}\r\n\r\n{body}", body.len()).is_err() {
                return;
            }
        }
    }
}

fn is_sent(operation: &str, requests: &[String]) -> bool {
    let fits = |(expected, sent): (&str, &str)| expected == sent || expected.starts_with('{');
    requests.iter().any(|request| {
        let (expected, sent) = (operation.split('/'), request.split('/'));
        expected.clone().count() == sent.clone().count() && expected.zip(sent).all(fits)
    })
}

fn check(commands: &[(&str, &str)], file: &Path, target: &[String], received: &Received) {
    for (operation, command) in commands {
        let exit = run_words([words(command, file), target.to_vec()].concat());
        let requests = received.take();
        assert!(
            is_sent(operation, &requests),
            "`telepath {command}` sent {requests:?} instead of {operation}"
        );
        assert_eq!(exit, Exit::Refused.into(), "telepath {command}");
    }
}

fn file_with_secret(folder: &TemporaryFolder) -> std::path::PathBuf {
    let path = folder.path().join("found.txt");
    std::fs::write(&path, format!("{SECRET}\n")).unwrap();
    path
}

#[test]
fn every_operation_is_listed_once_with_its_command() {
    for (document, commands, without) in
        [(PUBLISHED, COMMANDS, WITHOUT_COMMAND), (LOCAL, LOCAL_COMMANDS, &[][..])]
    {
        let mut listed: Vec<_> =
            commands.iter().map(|(operation, _)| *operation).chain(without.iter().copied()).collect();
        let mut documented = operations(document);
        listed.sort_unstable();
        documented.sort_unstable();
        assert_eq!(listed, documented, "each operation needs a command in this table");
    }
}

#[test]
fn every_command_sends_the_request_of_its_operation() {
    let folder = TemporaryFolder::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let environment = folder.path().join("test.env");
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::fs::write(&environment, format!("TELEPATH_API_KEY={SECRET}\nTELEPATH_API_URL={url}\n")).unwrap();
    let received = Received::default();
    let serving = received.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serving = serving.clone();
            std::thread::spawn(move || serving.serve(stream));
        }
    });
    let target = ["--env-file", &environment.to_string_lossy(), "--insecure-http"].map(str::to_owned);
    check(COMMANDS, &file_with_secret(&folder), &target, &received);
}

#[test]
fn commands_of_local_administration_send_their_requests_to_the_socket() {
    let folder = TemporaryFolder::new();
    let data = crate::data_dir::DataDir::create(&folder.path().join("data")).unwrap();
    let _lock = data.lock().unwrap();
    let listener = UnixListener::bind(data.admin_socket().unwrap()).unwrap();
    let received = Received::default();
    let serving = received.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serving = serving.clone();
            std::thread::spawn(move || serving.serve(stream));
        }
    });
    let target = ["--data-dir".to_owned(), data.path().to_string_lossy().into_owned()];
    check(LOCAL_COMMANDS, Path::new(""), &target, &received);
}

#[test]
fn only_serve_quickstart_and_migrate_create_a_data_folder() {
    let folder = TemporaryFolder::new();
    let file = file_with_secret(&folder);
    let missing = folder.path().join("mistyped/data");
    let single = COMMANDS.iter().chain(LOCAL_COMMANDS).map(|(_, command)| *command);
    for command in single.chain(COMPOSED.iter().copied()) {
        let target = ["--data-dir".to_owned(), missing.to_string_lossy().into_owned()];
        let exit = run_words([words(command, &file), target.to_vec()].concat());
        assert_eq!(exit, Exit::Config.into(), "telepath {command}");
        assert!(!folder.path().join("mistyped").exists(), "telepath {command} created a folder");
    }
}

#[test]
fn every_command_of_the_program_is_in_a_table() {
    const OTHERS: &[&str] = &[
        "quickstart",
        "serve",
        "agent echo",
        "call",
        "config check",
        "config show",
        "migrate",
        "completions",
        "version",
    ];
    fn leaves(command: &ClapCommand, path: &str, found: &mut Vec<String>) {
        if command.get_subcommands().next().is_none() {
            found.push(path.to_owned());
        }
        for sub in command.get_subcommands() {
            leaves(sub, format!("{path} {}", sub.get_name()).trim(), found);
        }
    }
    let mut found = Vec::new();
    leaves(&Cli::command(), "", &mut found);
    let tables: Vec<&str> = COMMANDS
        .iter()
        .chain(LOCAL_COMMANDS)
        .map(|(_, command)| *command)
        .chain(COMPOSED.iter().copied())
        .chain(OTHERS.iter().copied())
        .collect();
    for command in found {
        let listed =
            tables.iter().any(|entry| *entry == command || entry.starts_with(&format!("{command} ")));
        assert!(listed, "`telepath {command}` is in none of the tables");
    }
}
