//! The quickstart: uses every part of the program once and reports each step. It starts a server on a data folder, creates a
//! key, an echo agent and a trunk, places a SIP call with digest authentication over UDP, and reads the call back over HTTPS.

mod progress;
mod report;
mod voice;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use telepath_client::{
    CallDetails, CallsQuery, Client, CreateKey, CreateTrunk, Error, KeysQuery, SecretText, Timestamp, Trunk,
    TrunkId, TrunksQuery, Trust, UpdateTrunk,
};
use telepath_core::clock::{Clock as _, SystemClock};
use telepath_gateway::caller::{CallOutcome, CallerOptions, place_call};
use telepath_gateway::echo_agent::EchoAgent;
use telepath_media::codec::AudioCodec;
use telepath_media::wav;

use crate::cli::{caller_failure, output};
use crate::config::Config;
use crate::data_dir::{DataDir, write_private};
use crate::exit::Failure;
use crate::wire::Server;
use progress::{Progress, Task};

/// The user part of the echo trunk's SIP URI, by which a later run finds the trunk.
const SIP_USERNAME: &str = "echo-quickstart";
/// The audio that the call plays, kept in the data folder for further calls.
const WAV_FILE: &str = "quickstart.wav";
/// The recorded echo.
const RECORDING_FILE: &str = "quickstart-echo.wav";
/// How long to wait for the call record after the call, and how often to poll for it.
const RECORD_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The name of the key. Keys of earlier runs are found by it.
const KEY_NAME: &str = "Quickstart (temporary)";
/// How long the key works.
const KEY_LIFETIME: Duration = Duration::from_hours(24);
/// The address of `telepath agent echo`, which the trunk can use after the quickstart.
const ECHO_AGENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9000);
/// How long to listen after the last sample.
const LISTEN: Duration = Duration::from_millis(600);

/// A running server and its echo agent.
pub(crate) struct Session {
    progress: Progress,
    server: Server,
    agent: EchoAgent,
    data: DataDir,
    trunk: Option<TrunkId>,
}

/// A trunk and its SIP password.
struct EchoTrunk {
    trunk: Trunk,
    password: SecretText,
    reused: bool,
}

/// Opens the data folder and starts the server and the echo agent: the steps that need no client.
pub(crate) async fn begin(config: &Config) -> Result<Session, Failure> {
    let progress = Progress::start(&["Telepath quickstart", ""])?;
    let step = progress.step(Task::DataFolder)?;
    let existed = config.storage.data_dir.exists();
    let data = DataDir::create(&config.storage.data_dir)?;
    step.done(&format!("{} ({})", data.path().display(), if existed { "found" } else { "new" }))?;

    // Start the agent first: its address must be in the server's allowed destinations.
    let agent = start_agent().await?;
    let step = progress.step(Task::Server)?;
    let server = match Server::start(&reaching(config, agent.addr()), data.clone()).await {
        Ok(server) => server,
        Err(failure) => {
            agent.shutdown().await;
            return Err(failure);
        }
    };
    let addresses = server.addresses();
    step.done(&format!("API https://{}, SIP {} over UDP", reachable(addresses.api), addresses.sip))?;

    progress.step(Task::EchoAgent)?.done(&agent.url())?;
    Ok(Session { progress, server, agent, data, trunk: None })
}

/// Starts the echo agent at its usual address, or at a free port if another program uses that.
async fn start_agent() -> Result<EchoAgent, Failure> {
    if let Ok(agent) = EchoAgent::start(ECHO_AGENT).await {
        return Ok(agent);
    }
    let any_port = SocketAddr::new(ECHO_AGENT.ip(), 0);
    EchoAgent::start(any_port).await.map_err(|error| Failure::plain(error.to_string()))
}

/// The configuration, with the echo agent and its usual address added to the allowed destinations.
fn reaching(config: &Config, agent: SocketAddr) -> Config {
    let mut config = config.clone();
    for service in [agent, ECHO_AGENT] {
        config.egress.allow = config.egress.allow.and_service(&service.ip().to_string(), service.port());
    }
    config
}

impl Session {
    /// Runs the steps that use the server.
    pub(crate) async fn show(&mut self) -> Result<(), Failure> {
        let client = self.create_key().await?;
        self.try_key(&client).await?;
        let echo = self.prepare_trunk(&client).await?;
        self.trunk = Some(echo.trunk.id);
        let begun = SystemClock.now();
        let outcome = self.place_call(&echo).await?;
        self.check_echo(&outcome)?;
        let details = self.read_record(&client, echo.trunk.id, begun).await?;
        output::raw(report::record(&details)?.as_bytes())?;
        output::raw(report::figures(&outcome, &details).as_bytes())?;
        output::raw(self.places(&echo).as_bytes())
    }

    /// Waits until the server fails.
    pub(crate) async fn until_broken(&self) -> Failure {
        self.server.until_broken().await
    }

    /// Deactivates the trunk, whose agent ends with this process, and stops the server and the agent.
    pub(crate) async fn end(self) {
        if let Err(failure) = self.deactivate_trunk().await {
            output::note(&format_args!("The echo trunk is still active, without an agent: {failure}"));
        }
        self.server.stop().await;
        self.agent.shutdown().await;
    }

    async fn deactivate_trunk(&self) -> Result<(), Failure> {
        if let Some(trunk) = self.trunk {
            // `telepath agent echo` listens there.
            let change = UpdateTrunk {
                status: Some("inactive".to_owned()),
                custom_endpoint: Some(format!("ws://{ECHO_AGENT}/")),
                ..UpdateTrunk::default()
            };
            self.local()?.update_trunk(trunk, &change).await?;
        }
        Ok(())
    }

    fn local(&self) -> Result<Client, Failure> {
        Ok(Client::unix(&self.data.admin_socket()?))
    }

    async fn create_key(&self) -> Result<Client, Failure> {
        let step = self.progress.step(Task::Key)?;
        let local = self.local()?;
        revoke_earlier_keys(&local).await?;
        let expires_at = Some(SystemClock.now().plus(KEY_LIFETIME).to_string());
        let request = CreateKey { expires_at, ..CreateKey::new(KEY_NAME, "production") };
        let created = local.create_key(&request).await?;
        step.done(&format!("{}, works for 24 hours, shown only once:", created.key.id))?;
        output::line(&format_args!("\n      export TELEPATH_API_KEY={}\n", created.secret.expose()))?;
        let trust = self.server.addresses().ca.clone().map_or(Trust::SystemRoots, Trust::CaFile);
        Ok(Client::https(&self.base_url(), created.secret, trust)?)
    }

    async fn try_key(&self, client: &Client) -> Result<(), Failure> {
        let step = self.progress.step(Task::Api)?;
        let me = client.whoami().await?;
        step.done(&format!("GET /v1/whoami: {} of account {}", me.name, me.account.name))
    }

    async fn prepare_trunk(&self, client: &Client) -> Result<EchoTrunk, Failure> {
        let step = self.progress.step(Task::Trunk)?;
        let echo = match find_trunk(client).await? {
            None => self.create_trunk(client).await?,
            Some(trunk) => self.reuse_trunk(client, &trunk).await?,
        };
        let how = if echo.reused { "existing, with a new SIP password" } else { "new" };
        step.done(&format!("{} at {} ({how})", echo.trunk.id, echo.trunk.sip_endpoint))?;
        Ok(echo)
    }

    async fn create_trunk(&self, client: &Client) -> Result<EchoTrunk, Failure> {
        let request = CreateTrunk {
            name: Some("Echo (quickstart)".to_owned()),
            ai_provider: Some("custom".to_owned()),
            sip_username: Some(SIP_USERNAME.to_owned()),
            custom_endpoint: Some(self.agent.url()),
            ..CreateTrunk::default()
        };
        let created = client.create_trunk(&request).await?;
        let password =
            created.sip_password.ok_or_else(|| Failure::plain("the server returned no SIP password"))?;
        Ok(EchoTrunk { trunk: created.trunk, password, reused: false })
    }

    async fn reuse_trunk(&self, client: &Client, found: &Trunk) -> Result<EchoTrunk, Failure> {
        // The agent listens on a different port in each run.
        let change = UpdateTrunk {
            status: Some("active".to_owned()),
            custom_endpoint: Some(self.agent.url()),
            ..UpdateTrunk::default()
        };
        let trunk = client.update_trunk(found.id, &change).await?;
        let password = client.rotate_sip_password(found.id).await?.sip_password;
        Ok(EchoTrunk { trunk, password, reused: true })
    }

    async fn place_call(&self, echo: &EchoTrunk) -> Result<CallOutcome, Failure> {
        let step = self.progress.step(Task::Call)?;
        let samples = voice::greeting();
        self.write_wav(WAV_FILE, &samples)?;
        let target = format!("sip:{SIP_USERNAME}@{}", reachable(self.server.addresses().sip));
        let mut options = CallerOptions::new(&target).map_err(|error| caller_failure(&error))?;
        "quickstart".clone_into(&mut options.from);
        options.credentials = Some((SIP_USERNAME.to_owned(), echo.password.clone()));
        options.play = samples;
        options.listen = LISTEN;
        let outcome = place_call(options).await.map_err(|error| caller_failure(&error))?;
        if !outcome.answered() {
            let reason = outcome.reason_phrase.unwrap_or_default();
            return Err(Failure::plain(format!(
                "the call to {target} was rejected: {} {reason}",
                outcome.status
            )));
        }
        self.write_wav(RECORDING_FILE, &outcome.recording)?;
        let codec = outcome.codec.map_or("-", AudioCodec::name);
        step.done(&format!("{target} answered, {codec}, played {WAV_FILE}"))?;
        Ok(outcome)
    }

    fn check_echo(&self, outcome: &CallOutcome) -> Result<(), Failure> {
        let step = self.progress.step(Task::Echo)?;
        let heard = voice::listen(&outcome.recording);
        if let Some(note) = heard.iter().find(|note| !note.is_heard()) {
            return Err(Failure::plain(format!("the echo of the {} tone was not heard", note.name()))
                .remedy(format!(
                    "Listen to {} to hear the recording.",
                    self.file(RECORDING_FILE).display()
                )));
        }
        let notes: Vec<String> = heard.iter().map(voice::Heard::name).collect();
        step.done(&format!("heard tones {}", notes.join(", ")))
    }

    async fn read_record(
        &self,
        client: &Client,
        trunk: TrunkId,
        since: Timestamp,
    ) -> Result<CallDetails, Failure> {
        let step = self.progress.step(Task::Record)?;
        let deadline = tokio::time::Instant::now() + RECORD_WITHIN;
        let query = CallsQuery { trunk_id: Some(trunk), limit: Some(1), ..CallsQuery::default() };
        while tokio::time::Instant::now() < deadline {
            let newest = client.list_calls(&query).await?.items.into_iter().next();
            if let Some(call) = newest.filter(|call| call.start_time >= since && call.end_time.is_some()) {
                let details = client.get_call(call.id).await?;
                step.done(&format!("GET /v1/calls/{}", call.id))?;
                return Ok(details);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(Failure::plain(format!(
            "the call record was not available after {} seconds",
            RECORD_WITHIN.as_secs()
        )))
    }

    fn write_wav(&self, name: &str, samples: &[i16]) -> Result<(), Failure> {
        let path = self.file(name);
        write_private(&path, &wav::write(samples))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.data.path().join(name)
    }

    fn base_url(&self) -> String {
        format!("https://{}", reachable(self.server.addresses().api))
    }

    fn places(&self, echo: &EchoTrunk) -> String {
        let folder = self.data.path().display();
        let ca = self.server.addresses().ca.as_ref();
        format!(
            "\nWhere things are\n  \
             API           {}\n  \
             SIP           {} (digest user {SIP_USERNAME})\n  \
             echo agent    {}\n  \
             data          {folder}\n  \
             trust         {}\n  \
             audio         {folder}/{WAV_FILE}, {folder}/{RECORDING_FILE}\n",
            self.base_url(),
            echo.trunk.sip_endpoint,
            self.agent.url(),
            ca.map_or("the system's certificate authorities".to_owned(), |ca| ca.display().to_string()),
        )
    }

    /// Says which server keeps running, and how to use it.
    pub(crate) fn running(&self) -> String {
        let ca = self.server.addresses().ca.as_ref();
        let ca = ca.map(|ca| format!("--cacert {} ", quoted(&ca.display().to_string()))).unwrap_or_default();
        report::running(&self.base_url(), &ca)
    }

    /// What to do after the quickstart has ended.
    pub(crate) fn next_steps(&self) -> String {
        report::next_steps(&quoted(&self.data.path().display().to_string()), self.trunk, ECHO_AGENT)
    }
}

/// Revokes the keys of earlier runs, so that only the newest one works.
async fn revoke_earlier_keys(local: &Client) -> Result<(), Error> {
    let mut query = KeysQuery { limit: Some(100), ..KeysQuery::default() };
    loop {
        let page = local.list_keys(&query).await?;
        for key in page.items.iter().filter(|key| key.name == KEY_NAME && key.revoked_at.is_none()) {
            local.revoke_key(key.id, Some("replaced by a newer quickstart")).await?;
        }
        query.cursor = page.pagination.next_cursor;
        if query.cursor.is_none() {
            return Ok(());
        }
    }
}

async fn find_trunk(client: &Client) -> Result<Option<Trunk>, Failure> {
    let mut query = TrunksQuery { limit: Some(100), ..TrunksQuery::default() };
    loop {
        let page = client.list_trunks(&query).await?;
        query.cursor = page.pagination.next_cursor;
        let found =
            page.items.into_iter().find(|trunk| trunk.sip_username.eq_ignore_ascii_case(SIP_USERNAME));
        if found.is_some() || query.cursor.is_none() {
            return Ok(found);
        }
    }
}

/// An address to connect to from this machine; the wildcard address is replaced by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// A path quoted for the shell.
fn quoted(text: &str) -> String {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+:@".contains(&b));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wildcard_address_is_replaced_by_loopback() {
        let of = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(of("0.0.0.0:8443"), "127.0.0.1:8443");
        assert_eq!(of("[::]:1"), "[::1]:1");
        assert_eq!(of("192.0.2.1:1"), "192.0.2.1:1");
    }

    #[test]
    fn paths_are_quoted_for_the_shell() {
        assert_eq!(quoted("/tmp/a_b-1"), "/tmp/a_b-1");
        assert_eq!(quoted("/tmp/it's here"), r"'/tmp/it'\''s here'");
    }
}
