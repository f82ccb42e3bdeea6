//! Data of older versions on the present program: a folder or a database that commit b9599bc wrote is upgraded, served,
//! and used. `tests/fixtures/b9599bc/README.md` says what is in it; `telepath-store` checks the same fixtures row by row.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::support::output::note_secret;
use crate::support::{Client, Home, Outcome, Server};

struct Fixture {
    folder: PathBuf,
    expected: Value,
}

impl Fixture {
    /// The one for the database of this run.
    fn of(home: &Home) -> anyhow::Result<Self> {
        let database = if home.is_embedded() { "sqlite" } else { "postgres" };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/b9599bc").join(database);
        let expected = serde_json::from_slice(&fs::read(folder.join("expected.json"))?)?;
        Ok(Self { folder, expected })
    }

    /// Puts everything where the old program would have left it.
    fn install(&self, home: &Home) -> anyhow::Result<()> {
        let data = home.data();
        fs::create_dir_all(&data)?;
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700))?;
        self.copy("master.key", &data)?;
        if home.is_embedded() {
            self.copy("telepath.db", &data)
        } else {
            home.load(&fs::read_to_string(self.folder.join("dump.txt"))?)
        }
    }

    fn copy(&self, name: &str, data: &Path) -> anyhow::Result<()> {
        let target = data.join(name);
        fs::copy(self.folder.join(name), &target)?;
        Ok(fs::set_permissions(target, fs::Permissions::from_mode(0o600))?)
    }

    fn secret(&self, name: &str) -> anyhow::Result<String> {
        let bare = self.expected["secrets_without_prefix"][name].as_str();
        let secret = format!("sk_live_{}", bare.with_context(|| format!("no secret {name}"))?);
        note_secret(&secret);
        Ok(secret)
    }
}

/// The members of two lists that both sides have a value for must be equal, in the same order.
fn same(what: &str, found: &Value, expected: &Value, members: &[&str]) -> Outcome {
    let (found, expected) = (found.as_array().context("a list")?, expected.as_array().context("a list")?);
    ensure!(found.len() == expected.len(), "{what}: {} instead of {}", found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        for member in members {
            ensure!(found[member] == expected[member], "{what}: {member} of {found} is not as in {expected}");
        }
    }
    Ok(())
}

async fn get(client: &Client, path: &str, key: &str) -> anyhow::Result<Value> {
    client.get(path, key).await?.expect(200)
}

#[tokio::test]
async fn data_of_b9599bc_is_upgraded_and_served() -> Outcome {
    let home = Home::new();
    let fixture = Fixture::of(&home)?;
    fixture.install(&home)?;
    let mut server = home.start().await?;
    let client = server.client()?;
    let key = fixture.secret("operations")?;
    for name in ["production", "reports", "rotated"] {
        get(&client, "/v1/whoami", &fixture.secret(name)?).await.with_context(|| name)?;
    }
    client.get("/v1/whoami", &fixture.secret("revoked")?).await?.expect(401)?;
    let expected = &fixture.expected;
    let account = get(&client, "/v1/whoami", &key).await?["account"].take();
    ensure!(account["id"] == expected["account"]["id"] && account["name"] == "Default", "{account}");
    // The old key keeps exactly its scopes, so it has none of the new ones.
    client.get("/v1/account", &key).await?.expect(403)?;
    let keys = get(&client, "/v1/keys?limit=100", &key).await?;
    let members =
        ["id", "name", "preset", "rate_limit_per_minute", "created_at", "expires_at", "revoke_reason"];
    same("keys", &keys["keys"], &expected["keys"], &members)?;
    let trunks = get(&client, "/v1/trunks?limit=100", &key).await?;
    let members = ["id", "name", "ai_provider", "sip_username", "created_at"];
    same("trunks", &trunks["trunks"], &expected["trunks"], &members)?;
    let calls = get(&client, "/v1/calls?limit=100", &key).await?;
    let members =
        ["id", "trunk_id", "from", "to", "status", "start_time", "duration_seconds", "disconnect_reason"];
    same("calls", &calls["calls"], &expected["calls"], &members)?;
    let webhooks = get(&client, "/v1/webhooks?limit=100", &key).await?;
    same("webhooks", &webhooks["webhooks"], &expected["webhooks"], &["id", "description", "created_at"])?;
    let alerts = get(&client, "/v1/alerts?status=acknowledged&limit=100", &key).await?;
    same("alerts", &alerts["alerts"], &expected["alerts"], &["id", "rule", "raised_at", "acknowledged_at"])?;
    changes_go_on(&server, &client, &key).await?;
    ensure!(server.stop().await?.success(), "the server stops");
    Ok(())
}

/// What the old program wrote is not only read: it is changed, and the audit chain goes on from its last row.
async fn changes_go_on(server: &Server, client: &Client, key: &str) -> Outcome {
    let draft = serde_json::json!({ "name": "After the upgrade", "preset": "testing" });
    let made = client.post("/v1/keys", key, &draft).await?.expect(201)?;
    ensure!(made["rate_limit_per_minute"] == 300, "the preset is still the edited one: {made}");
    made["secret"].as_str().into_iter().for_each(note_secret);
    let verified = server.home().run(&["audit", "verify", "--json"]).await?.expect_success()?.json()?;
    ensure!(verified["entries"].as_u64().is_some_and(|entries| entries > 28), "{verified}");
    Ok(())
}
