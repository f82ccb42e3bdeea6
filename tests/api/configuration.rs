//! Invalid configuration is rejected before a socket is bound, with one line that says what to do.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::Context as _;
use tokio::net::{TcpListener, UdpSocket};

use crate::support::server::{Home, files_below};
use crate::support::{Finished, Outcome, Server};

const PORTS: [&str; 4] = ["--api-listen", "127.0.0.1:0", "--sip-listen", "127.0.0.1:0"];

/// Runs `serve` with a configuration that must be rejected.
async fn refused(home: &Home, options: &[&str]) -> anyhow::Result<Finished> {
    let given = |port: &&[&str]| !options.contains(&port[0]);
    let ports: Vec<&str> = PORTS.chunks(2).filter(given).flatten().copied().collect();
    let words = [&["serve"], ports.as_slice(), options].concat();
    let finished = home.run(&words).await?;
    assert!(finished.code.is_some_and(|code| code != 0), "{options:?}: {}", finished.stdout);
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    Ok(finished)
}

#[tokio::test]
async fn plain_http_is_served_on_loopback_only() -> Outcome {
    let home = Home::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080"] {
        let finished = refused(&home, &["--insecure-http-listen", address]).await?;
        assert!(finished.stderr.contains("loopback"), "{address}: {}", finished.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn an_unknown_setting_is_refused_with_a_hint() -> Outcome {
    let home = Home::new();
    home.create_key(&["--name", "first", "--preset", "testing"]).await?;
    let file = home.beside("telepath.toml");
    std::fs::write(&file, "[api]\nlisten = \"127.0.0.1:0\"\n[log]\nformt = \"json\"\n")?;
    let file = file.to_str().context("a path in UTF-8")?;
    let finished = refused(&home, &["--config", file]).await?;
    assert!(finished.stderr.contains("formt") && finished.stderr.contains("format"), "{}", finished.stderr);
    let checked = home.run(&["config", "check", "--config", file]).await?;
    assert!(checked.code.is_some_and(|code| code != 0), "{}", checked.stdout);
    Ok(())
}

#[tokio::test]
async fn invalid_settings_are_named() -> Outcome {
    let home = Home::new();
    for (option, value) in [
        ("--api-listen", "here"),
        ("--sip-listen", "127.0.0.1:99999"),
        ("--rtp-ports", "9-5"),
        ("--log-format", "xml"),
    ] {
        let finished = refused(&home, &[option, value]).await?;
        let name = option.trim_start_matches("--");
        let told = finished.stderr.replace(['.', '_'], "-");
        assert!(told.contains(name), "{option} {value}: {}", finished.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_is_reported_in_one_line() -> Outcome {
    let home = Home::new();
    home.create_key(&["--name", "first", "--preset", "testing"]).await?;
    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    let udp = UdpSocket::bind("127.0.0.1:0").await?;
    for (option, address) in [("--api-listen", tcp.local_addr()?), ("--sip-listen", udp.local_addr()?)] {
        let finished = refused(&home, &[option, &address.to_string()]).await?;
        assert!(finished.stderr.contains("in use"), "{option}: {}", finished.stderr);
        assert!(finished.stderr.contains(&address.port().to_string()), "{option}: {}", finished.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn a_data_folder_is_used_by_one_server() -> Outcome {
    let server = Server::start().await?;
    let finished = refused(server.home(), &[]).await?;
    assert!(finished.stderr.contains("in use") || finished.stderr.contains("running"), "{}", finished.stderr);
    Ok(())
}

#[tokio::test]
async fn config_show_masks_secrets() -> Outcome {
    let home = Home::new();
    let password = "hunter2-hunter2-hunter2";
    crate::support::output::note_secret(password);
    let mut command = home.command(&["config", "show"]);
    command.env("TELEPATH_DATABASE_URL", format!("postgres://someone:{password}@db.example/telepath"));
    let shown = crate::support::cli::finish(command, "config-show").await?.expect_success()?;
    assert!(!shown.stdout.contains(password), "{}", shown.stdout);
    assert!(shown.stdout.contains("api"), "{}", shown.stdout);
    Ok(())
}

#[tokio::test]
async fn other_users_can_read_nothing_in_the_data_folder_but_its_certificates() -> Outcome {
    let server = Server::start().await?;
    let mode = |path: &std::path::Path| anyhow::Ok(path.metadata()?.permissions().mode() & 0o777);
    // Others may pass through, so that a client of another user reads the CA certificate, but cannot list it.
    assert_eq!(mode(&server.data())?, 0o711);
    assert_eq!(mode(&server.data().join("tls"))?, 0o711);
    assert_eq!(mode(&server.authority())?, 0o644);
    assert_eq!(mode(&server.data().join("master.key"))?, 0o600);
    for path in files_below(&server.data()) {
        let is_private_key =
            std::fs::read(&path).is_ok_and(|bytes| bytes.windows(11).any(|part| part == b"PRIVATE KEY"));
        if is_private_key {
            assert_eq!(mode(&path)?, 0o600, "{}", path.display());
        }
        let is_certificate = path.extension().is_some_and(|extension| extension == "pem");
        if !is_certificate {
            assert_eq!(mode(&path)? & 0o077, 0, "{}", path.display());
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_mistyped_data_folder_is_an_error_and_is_not_created() -> Outcome {
    let home = Home::new();
    for words in [
        &["trunks", "list"][..],
        &["keys", "create", "--name", "n", "--preset", "testing"],
        &["users", "list"],
    ] {
        let finished = home.run(words).await?;
        assert_eq!(finished.code, Some(3), "{words:?}: {}", finished.stderr);
        assert!(finished.stderr.contains("there is no data folder at"), "{words:?}: {}", finished.stderr);
        assert!(!home.data().exists(), "{words:?}");
    }
    Ok(())
}

#[tokio::test]
async fn migrate_creates_the_master_key_of_a_new_database() -> Outcome {
    let home = Home::new();
    let first = home.run(&["migrate"]).await?.expect_success()?;
    let key = home.data().join("master.key");
    assert!(
        first.stdout.contains(&format!("Created the master key in {}", key.display())),
        "{}",
        first.stdout
    );
    let created = std::fs::read(&key)?;
    let again = home.run(&["migrate"]).await?.expect_success()?;
    assert!(!again.stdout.contains("master key"), "{}", again.stdout);
    assert_eq!(std::fs::read(&key)?, created);
    let server = home.start().await?;
    server.admin_key().await?;
    Ok(())
}

#[tokio::test]
async fn a_server_without_the_master_key_of_its_database_is_refused_and_leaves_nothing_behind() -> Outcome {
    let home = Home::new();
    home.run(&["migrate"]).await?.expect_success()?;
    let (folder, key) = (home.data(), home.data().join("master.key"));
    let aside = home.beside("master.key");
    std::fs::rename(&key, &aside)?;
    if !home.is_embedded() {
        std::fs::remove_dir_all(&folder)?;
    }
    let finished = refused(&home, &[]).await?;
    assert!(finished.stderr.contains("master key is missing"), "{}", finished.stderr);
    assert!(finished.stderr.contains("Copy master.key"), "{}", finished.stderr);
    assert_eq!((key.exists(), folder.exists()), (false, home.is_embedded()));
    std::fs::create_dir_all(&folder)?;
    std::fs::copy(&aside, &key)?;
    home.start().await?.admin_key().await?;
    Ok(())
}

#[tokio::test]
async fn unknown_log_levels_are_refused() -> Outcome {
    let home = Home::new();
    let finished = refused(&home, &["--log-level", "loud"]).await?;
    assert!(
        finished.stderr.contains("log.level") && finished.stderr.contains("trace"),
        "{}",
        finished.stderr
    );
    assert!(!home.data().exists());
    Ok(())
}

#[tokio::test]
async fn a_different_master_key_is_rejected() -> Outcome {
    let mut server = Server::start().await?;
    assert!(server.stop().await?.success());
    let (home, _) = server.kill().await?;
    let mut command = home.command(&["serve"]);
    command.args(PORTS).env("TELEPATH_MASTER_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let finished = crate::support::cli::finish(command, "other-key").await?;
    assert!(finished.code.is_some_and(|code| code != 0), "{}", finished.stdout);
    assert!(finished.stderr.to_lowercase().contains("master key"), "{}", finished.stderr);
    Ok(())
}

#[tokio::test]
async fn help_has_examples_and_completions_are_written() -> Outcome {
    for words in
        [&["--help"][..], &["serve", "--help"], &["keys", "create", "--help"], &["quickstart", "--help"]]
    {
        let mut command = crate::support::cli::command();
        command.args(words);
        let shown = crate::support::cli::finish(command, "help").await?.expect_success()?;
        assert!(shown.stdout.contains("Examples"), "{words:?}: {}", shown.stdout);
    }
    let mut command = crate::support::cli::command();
    command.args(["completions", "bash"]);
    let shown = crate::support::cli::finish(command, "completions").await?.expect_success()?;
    assert!(shown.stdout.contains("complete"), "{}", shown.stdout.len());
    Ok(())
}
