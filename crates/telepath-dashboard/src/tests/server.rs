//! A server that is always the same, and the pages about it.

use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_core::ports::ServerReport;
use telepath_core::server_status::{
    CertificateFacts, CertificateRole, ListenerReach, ListenerStatus, MediaUse, RetentionStatus,
    ServerStatus, SettingSource, SettingStatus, SettingValue, SipReach,
};
use telepath_core::user::Role;

use super::harness::{Browser, Site};

const DAY: Duration = Duration::from_hours(24);
const HOSTILE: &str = "<img src=x onerror=alert(1)>\u{202e}";

pub(super) struct Report;

impl ServerReport for Report {
    fn status(&self) -> ServerStatus {
        status()
    }

    fn local_authority(&self) -> Option<String> {
        Some("-----BEGIN CERTIFICATE-----\n".to_owned())
    }
}

/// A server without anything wrong.
pub(crate) fn status() -> ServerStatus {
    let certificate = |role, name: &str, days: u32| CertificateFacts {
        role,
        names: vec![name.to_owned()],
        expires_at: Some(Timestamp::from_unix_seconds(1_800_000_000).plus(DAY * days)),
    };
    let setting = |key, value, source, detail: &str, about| SettingStatus {
        key,
        env: "TELEPATH_X",
        value,
        source,
        detail: detail.to_owned(),
        about,
    };
    let text = |text: &str| SettingValue::Shown(text.to_owned());
    ServerStatus {
        version: "0.1.0 (commit abc, target)".to_owned(),
        uptime: DAY * 3,
        data_dir: "/var/lib/telepath".to_owned(),
        listeners: vec![ListenerStatus {
            name: "API and dashboard",
            address: "https://203.0.113.7:8443".to_owned(),
            reach: ListenerReach::Network,
        }],
        certificates: vec![
            certificate(CertificateRole::FromLocalAuthority, "voice.example", 300),
            certificate(CertificateRole::LocalAuthority, "Telepath local certificate authority", 3000),
        ],
        sip: SipReach {
            listen: "203.0.113.7:5060".parse().unwrap(),
            advertised: "203.0.113.7".to_owned(),
            unreachable: None,
        },
        media: MediaUse {
            calls: 3,
            max_calls: 1000,
            ports: (20_000, 29_999),
            ports_in_use: 3,
            ports_total: 5000,
        },
        egress: vec!["10.20.0.0/16".to_owned(), HOSTILE.to_owned()],
        mail_server: Some("mail.example.com:465".to_owned()),
        retention: RetentionStatus {
            request_log: DAY * 30,
            request_log_bytes: 1 << 30,
            calls: None,
            audit: Some(DAY * 730),
            analytics: DAY * 730,
        },
        settings: vec![
            setting(
                "api.listen",
                text("203.0.113.7:8443"),
                SettingSource::Flag,
                "flag --api-listen",
                "Where.",
            ),
            setting(
                "smtp.password",
                SettingValue::Secret,
                SettingSource::File,
                "file /etc/t.toml",
                "A `secret`.",
            ),
            setting("log.level", text("info"), SettingSource::Default, "default", "The level."),
            setting("smtp.from", text(HOSTILE), SettingSource::Environment, "environment X", "From."),
            setting("sip.public_host", SettingValue::Unset, SettingSource::None, "not set", "The host."),
        ],
    }
}

#[tokio::test]
async fn the_system_page_says_how_the_server_is() {
    let site = Site::new().await;
    site.user("viewer@example.com", Role::Viewer).await;
    let mut browser = Browser::of(&site, "viewer@example.com").await;
    let page = browser.get("/settings/system").await.expect(200);
    for text in [
        "0.1.0 (commit abc, target)",
        "3 days",
        "/var/lib/telepath",
        if super::place::is_postgres_run() { "PostgreSQL 1" } else { "SQLite 3." },
        "https://203.0.113.7:8443",
        "voice.example",
        "in 10 months",
        "20000–29999 (UDP)",
        "3 of 5,000",
        "10.20.0.0/16",
        "mail.example.com:465",
        "30 days, at most 1 GB",
        "730 days",
        "forever",
        "Nothing needs attention.",
    ] {
        assert!(page.text.contains(text), "{text} in {}", page.text);
    }
    assert!(!page.text.contains("<img src=x"), "{}", page.text);
    assert!(page.text.contains(r#"href="/settings/system""#), "it is in the navigation");
    let authority = browser.get("/settings/system/authority").await.expect(200);
    assert_eq!(authority.header("content-disposition"), r#"attachment; filename="telepath-ca.pem""#);
    assert!(authority.text.starts_with("-----BEGIN CERTIFICATE-----"));
}

#[tokio::test]
async fn the_configuration_shows_every_setting_with_its_source_and_no_secret() {
    let site = Site::new().await;
    site.user("viewer@example.com", Role::Viewer).await;
    let mut browser = Browser::of(&site, "viewer@example.com").await;
    let page = browser.get("/settings/system/configuration").await.expect(200);
    for text in [
        "api.listen",
        "--api-listen",
        "/etc/t.toml",
        "A <code>secret</code>.",
        "log.level",
        "sip.public_host",
    ] {
        assert!(page.text.contains(text), "{text} in {}", page.text);
    }
    assert!(!page.text.contains("<img src=x"), "{}", page.text);
    assert_eq!(page.text.matches("id=\"smtp-h\"").count(), 1, "settings of one section stand together");
    assert!(page.text.contains("5 settings") && page.text.contains("3 settings"));
    let page = browser.get("/settings/system/configuration?show=chosen").await.expect(200);
    assert!(page.text.contains("api.listen") && !page.text.contains("log.level"), "{}", page.text);
}

#[tokio::test]
async fn the_support_bundle_is_a_file() {
    let site = Site::new().await;
    site.user("viewer@example.com", Role::Viewer).await;
    let mut browser = Browser::of(&site, "viewer@example.com").await;
    let bundle = browser.get("/settings/system/bundle").await.expect(200);
    assert_eq!(bundle.header("content-type"), "application/json");
    assert_eq!(
        bundle.header("content-disposition"),
        r#"attachment; filename="telepath-support-2027-01-15.json""#
    );
    let read: serde_json::Value = serde_json::from_str(&bundle.text).unwrap();
    assert_eq!(read["settings"]["api.listen"]["source"], "flag");
    assert_eq!(read["settings"]["smtp.password"]["value"], serde_json::Value::Null);
    assert_eq!(read["settings"]["smtp.password"]["secret"], true);
    assert!(read["database"]["bytes"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn members_of_other_accounts_do_not_see_the_server() {
    let site = Site::new().await;
    let other = site.other_account("Other").await;
    site.user_of(other, "grace@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "grace@example.com").await;
    for path in ["", "/configuration", "/bundle", "/authority"] {
        browser.get(&format!("/settings/system{path}")).await.expect(403);
    }
    let page = browser.get("/settings/team").await.expect(200);
    assert!(!page.text.contains(r#"href="/settings/system""#));
}
