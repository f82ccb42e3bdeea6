use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use telepath_core::alert::{AlertTestKind, SecuritySignal};
use telepath_core::audit::Origin;
use telepath_core::clock::{Clock as _, ManualClock, Timestamp};
use telepath_core::entropy::SystemEntropy;
use telepath_core::key::{Authority, KeyDraft, Presets};
use telepath_core::page::PageRequest;
use telepath_core::secret::{KeyMode, SecretText};
use telepath_core::vault::{MasterKey, Vault};
use telepath_store::{AlertPost, Database, StoreContext, StoreOptions};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::temporary::TemporaryFolder;

/// An email that the server received.
#[derive(Debug, Clone, Default)]
struct Got {
    commands: Vec<String>,
    /// The lines between DATA and the dot.
    data: Vec<String>,
}

/// A mail server that implements the part of RFC 5321 that the client uses. It rejects the recipients of the first sessions.
struct MailServer {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl MailServer {
    async fn start(refused: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let got: Arc<Mutex<Vec<Got>>> = Arc::default();
        let all = Arc::clone(&got);
        let task = tokio::spawn(async move {
            let mut conversations = 0;
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                conversations += 1;
                let heard = serve_session(stream, conversations <= refused).await.unwrap();
                all.lock().unwrap().push(heard);
            }
        });
        Self { address, got, task }
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

/// Serves one SMTP session (RFC 5321 section 4).
async fn serve_session(stream: TcpStream, refuse: bool) -> std::io::Result<Got> {
    let mut stream = BufReader::new(stream);
    let mut got = Got::default();
    stream.write_all(b"220 mail.example.com ESMTP\r\n").await?;
    let mut in_data = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(got);
        }
        let line = line.trim_end().to_owned();
        if in_data {
            in_data = line != ".";
            if in_data {
                got.data.push(line);
            } else {
                stream.write_all(b"250 2.0.0 taken\r\n").await?;
            }
            continue;
        }
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer: &[u8] = match verb.as_str() {
            "EHLO" => b"250-mail.example.com\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n",
            "AUTH" => b"235 2.7.0 come in\r\n",
            "RCPT" if refuse => b"451 4.3.0 not now\r\n",
            "MAIL" | "RCPT" | "RSET" | "NOOP" => b"250 2.1.0 fine\r\n",
            "DATA" => b"354 go on\r\n",
            "QUIT" => b"221 2.0.0 bye\r\n",
            _ => b"500 5.5.1 what?\r\n",
        };
        in_data = verb == "DATA";
        let last = verb == "QUIT";
        got.commands.push(line);
        stream.write_all(answer).await?;
        if last {
            return Ok(got);
        }
    }
}

struct Fixture {
    store: Arc<Store>,
    clock: Arc<ManualClock>,
    secret: String,
    _folder: TemporaryFolder,
}

/// A store with one key that was sent in cleartext.
async fn fixture() -> Fixture {
    let folder = TemporaryFolder::new();
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix_seconds(1_800_000_000)));
    let entropy = Arc::new(SystemEntropy::default());
    let vault = Vault::new(&MasterKey::generate(&*entropy).unwrap()).unwrap();
    let context = StoreContext { vault: Arc::new(vault), clock: clock.clone(), entropy };
    let mut options = StoreOptions::new(Database::Sqlite { path: folder.path().join("telepath.db") });
    options.alerts.by_mail = true;
    let store = Store::open(options, context).await.unwrap();
    let origin = Origin::local(clock.now());
    let account = store.ensure_account("Default", KeyMode::Live, origin).await.unwrap();
    let draft =
        KeyDraft {
            name: Some("Büro".to_owned()), preset: Some("testing".to_owned()), ..KeyDraft::default()
        };
    let new = draft.check(&account, &Presets::default(), &Authority::Unbounded, clock.now()).unwrap();
    let made = store.create_key(account.id, new, origin).await.unwrap();
    let notice = SecuritySignal::SeenInClear { key: made.record.id, address: "192.0.2.9".parse().unwrap() };
    store.record_security_signal(notice);
    assert_eq!(store.raise_security_alerts().await.unwrap(), 1);
    Fixture { store, clock, secret: made.secret.reveal().expose().to_owned(), _folder: folder }
}

fn mailer(server: SocketAddr, credentials: Option<(String, SecretText)>) -> Mailer {
    let config = SmtpConfig {
        host: server.ip().to_string(),
        port: server.port(),
        tls: SmtpTls::None,
        credentials,
        from: "Telepath <telepath@example.com>".parse().unwrap(),
        to: vec!["ops@example.com".parse().unwrap(), "night@example.com".parse().unwrap()],
    };
    Mailer::new(&config, Some("https://voice.example".to_owned())).unwrap()
}

#[tokio::test]
async fn an_alert_is_sent_as_one_email_without_secrets() {
    let (fixture, server) = (fixture().await, MailServer::start(0).await);
    let password = SecretText::new("open sesame".to_owned());
    let mailer = mailer(server.address, Some(("telepath".to_owned(), password)));
    assert_eq!(mailer.send_pending(&fixture.store).await.unwrap(), 1);
    assert_eq!(mailer.send_pending(&fixture.store).await.unwrap(), 0);
    drop(mailer);
    let got = server.got();
    assert_eq!(got.len(), 1, "{got:?}");
    let commands = got[0].commands.join("\n");
    for part in [
        "AUTH PLAIN",
        "MAIL FROM:<telepath@example.com>",
        "RCPT TO:<ops@example.com>",
        "RCPT TO:<night@example.com>",
    ] {
        assert!(commands.contains(part), "{part} in {commands}");
    }
    let data = got[0].data.join("\n");
    for part in [
        "From: Telepath <telepath@example.com>",
        "To: ops@example.com, night@example.com",
        "Message-ID: <alr_",
        "Date: Fri, 15 Jan 2027 08:00:00 +0000",
        "Content-Type: multipart/alternative;",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Type: text/html; charset=utf-8",
        "Page:     https://voice.example/alerts/alr_",
        "seen_in_clear",
        "192.0.2.9",
        "What to do:",
    ] {
        assert!(data.contains(part), "{part} in {data}");
    }
    let random = &fixture.secret["sk_live_".len()..][3..40];
    assert!(!data.contains(random), "the email contains the secret");
    fixture.store.close().await;
}

#[tokio::test]
async fn a_rejected_email_is_retried_with_the_same_message_id() {
    let (fixture, server) = (fixture().await, MailServer::start(2).await);
    let mailer = mailer(server.address, None);
    assert_eq!(mailer.send_pending(&fixture.store).await.unwrap(), 0);
    assert_eq!(mailer.send_pending(&fixture.store).await.unwrap(), 0, "it waits");
    fixture.clock.advance(Duration::from_mins(1));
    assert_eq!(mailer.send_pending(&fixture.store).await.unwrap(), 0);
    fixture.clock.advance(Duration::from_mins(5));
    assert_eq!(mailer.send_pending(&fixture.store).await.unwrap(), 1);
    fixture.store.close().await;
}

#[tokio::test]
async fn emails_are_retried_while_the_server_is_down_and_finally_given_up() {
    let fixture = fixture().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let early = mailer(address, None);
    for _ in 0..9 {
        assert_eq!(early.send_pending(&fixture.store).await.unwrap(), 0);
        fixture.clock.advance(Duration::from_hours(24));
    }
    let server = MailServer::start(0).await;
    let late = mailer(server.address, None);
    assert_eq!(late.send_pending(&fixture.store).await.unwrap(), 0, "it was given up");
    fixture.store.close().await;
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_without_starttls_when_tls_is_required() {
    let (fixture, server) = (fixture().await, MailServer::start(0).await);
    let config = SmtpConfig {
        host: server.address.ip().to_string(),
        port: server.address.port(),
        tls: SmtpTls::StartTls,
        credentials: Some(("telepath".to_owned(), SecretText::new("open sesame".to_owned()))),
        from: "telepath@example.com".parse().unwrap(),
        to: vec!["ops@example.com".parse().unwrap()],
    };
    assert_eq!(Mailer::new(&config, None).unwrap().send_pending(&fixture.store).await.unwrap(), 0);
    let told = server
        .got()
        .iter()
        .any(|got| got.commands.iter().any(|line| !line.starts_with("EHLO") && line != "QUIT"));
    assert!(!told, "{:?}", server.got());
    fixture.store.close().await;
}

#[tokio::test]
async fn a_test_alert_is_sent_in_both_forms_and_a_refusal_is_the_result() {
    let fixture = fixture().await;
    let account = fixture.store.list_accounts(PageRequest::default()).await.unwrap().items[0].id;
    let test = async |address, kind| {
        let mail: Arc<dyn Mail> = Arc::new(mailer(address, None));
        let post = AlertPost { mail: Some(mail), pages: Some("https://voice.example".to_owned()) };
        fixture.store.test_alerts(account, kind, &post, Origin::local(fixture.clock.now())).await.unwrap()
    };
    let server = MailServer::start(0).await;
    assert_eq!(test(server.address, AlertTestKind::Alert).await, Ok(()));
    assert_eq!(test(server.address, AlertTestKind::Mail).await, Ok(()));
    let got = server.got();
    let data = got[0].data.join("\n");
    for part in [
        "multipart/alternative",
        "text/html",
        "This is a test, nothing happened.",
        "new_address",
        "https://voice.example/alerts/rules",
    ] {
        assert!(data.contains(part), "{part} in {data}");
    }
    assert!(got[1].data.join("\n").contains("to test the mail server"));
    let refusing = MailServer::start(1).await;
    let refused = test(refusing.address, AlertTestKind::Mail).await.unwrap_err();
    assert!(!refused.to_string().is_empty());
    let none = AlertPost::default();
    let origin = Origin::local(fixture.clock.now());
    let unset = fixture.store.test_alerts(account, AlertTestKind::Mail, &none, origin).await.unwrap();
    assert!(unset.unwrap_err().to_string().contains("smtp.host"));
    fixture.store.close().await;
}
