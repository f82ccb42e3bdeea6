//! The curl, Python and JavaScript examples of the documentation, unchanged except for the base URL, the key and the CA to
//! trust. Each is passed to its interpreter on standard input, so that no file contains the key.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::support::waiting::soon;
use crate::support::{Outcome, Server};

const SHOWN_KEY: &str = "sk_live_abc123def456...";
const SHOWN_BASE: &str = "https://api.telepathvoice.com";

/// Fills in and runs an example. Returns its output.
async fn run(mut interpreter: Command, example: &str, server: &Server, shows: &str) -> anyhow::Result<Value> {
    let key = server.create_key(&["--name", "Production", "--preset", "production"]).await?;
    assert!(example.contains(SHOWN_KEY) && example.contains(SHOWN_BASE), "the example is the documented one");
    let base = format!("https://localhost:{}", server.addresses.api.port());
    let script = example.replace(SHOWN_KEY, &key.secret).replace(SHOWN_BASE, &base) + shows;
    let mut child =
        interpreter.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("the interpreter reads its standard input")?;
    stdin.write_all(script.as_bytes()).await?;
    drop(stdin);
    let output = soon("the example", child.wait_with_output()).await??;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    serde_json::from_str(&text).with_context(|| text.clone())
}

fn assert_is_an_empty_list(answer: &Value) {
    assert_eq!(answer["trunks"], serde_json::json!([]), "{answer}");
    assert_eq!(answer["pagination"]["total"], 0, "{answer}");
}

/// The interpreter chosen by `scripts/test`, or the one in the path. If there is none, prints why the example is skipped.
#[expect(clippy::print_stderr, reason = "whoever runs the tests must see what was skipped")]
fn interpreter(variable: &str, program: &str) -> Option<PathBuf> {
    let found = match std::env::var_os(variable) {
        Some(path) => Some(PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty()),
        None => std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .map(|folder| folder.join(program))
            .find(|path| path.exists()),
    };
    if found.is_none() {
        eprintln!("left out: {program} is not here, or not what the example needs");
    }
    found
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.kill_on_drop(true);
    command
}

#[tokio::test]
async fn the_documented_curl_command_lists_the_trunks() -> Outcome {
    let server = Server::start().await?;
    let mut shell = command(Path::new("sh"));
    // The trusted CA is an option of curl; the command itself is unchanged.
    shell.arg("-s").env("CURL_CA_BUNDLE", server.authority());
    let example = include_str!("../examples/list_trunks.sh");
    assert_is_an_empty_list(&run(shell, example, &server, "").await?);
    Ok(())
}

#[tokio::test]
async fn the_documented_python_program_lists_the_trunks() -> Outcome {
    let Some(program) = interpreter("TELEPATH_TEST_PYTHON", "python3") else { return Ok(()) };
    let server = Server::start().await?;
    let mut python = command(&program);
    python.arg("-").env("REQUESTS_CA_BUNDLE", server.authority());
    let shows = "\nresponse.raise_for_status()\nprint(response.text)\n";
    let example = include_str!("../examples/list_trunks.py");
    assert_is_an_empty_list(&run(python, example, &server, shows).await?);
    Ok(())
}

#[tokio::test]
async fn the_documented_javascript_program_lists_the_trunks() -> Outcome {
    let Some(program) = interpreter("TELEPATH_TEST_NODE", "node") else { return Ok(()) };
    let server = Server::start().await?;
    let mut node = command(&program);
    node.args(["--input-type=module", "-"]).env("NODE_EXTRA_CA_CERTS", server.authority());
    let shows = "\nif (!response.ok) throw new Error(response.status);\nconsole.log(JSON.stringify(data));\n";
    let example = include_str!("../examples/list_trunks.mjs");
    assert_is_an_empty_list(&run(node, example, &server, shows).await?);
    Ok(())
}
