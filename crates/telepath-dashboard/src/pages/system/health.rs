//! The health of the server in sentences. Each finding is a fact with a threshold that its sentence names.

use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_core::server_status::{CertificateFacts, CertificateRole, ListenerReach, ServerStatus};
use telepath_store::{RequestLogStats, Store};

use crate::icon::{self, Icon};
use crate::number::counted;
use crate::time::span;

/// A certificate that someone else renews needs attention when less than this is left.
const FILES_EXPIRE_SOON: Duration = Duration::from_hours(14 * 24);
/// One that the server renews needs attention when less than this is left: it was due days ago.
const RENEWAL_IS_LATE: Duration = Duration::from_hours(25 * 24);
/// RTP ports need attention when more than this share is in use, in percent.
const BUSY_PORTS: usize = 80;

/// How a finding is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Bad,
    Warning,
    Note,
    Good,
}

/// A sentence about the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) about: &'static str,
    pub(super) text: String,
}

impl Finding {
    fn new(level: Level, about: &'static str, text: impl Into<String>) -> Self {
        Self { level, about, text: text.into() }
    }

    pub(super) const fn needs_attention(&self) -> bool {
        match self.level {
            Level::Bad | Level::Warning => true,
            Level::Note | Level::Good => false,
        }
    }

    pub(super) const fn class(&self) -> &'static str {
        match self.level {
            Level::Bad => "bad",
            Level::Warning => "warn",
            Level::Note => "info",
            Level::Good => "ok",
        }
    }

    pub(super) const fn icon(&self) -> Icon {
        match self.level {
            Level::Bad => icon::CIRCLE_ALERT,
            Level::Warning => icon::WARNING,
            Level::Note => icon::INFO,
            Level::Good => icon::CHECK,
        }
    }

    /// The level in a word.
    pub(super) const fn word(&self) -> &'static str {
        match self.level {
            Level::Bad => "Failing",
            Level::Warning => "Warning",
            Level::Note => "Note",
            Level::Good => "Works",
        }
    }
}

/// What the store knows about this process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances {
    pub(super) now: Timestamp,
    /// How long this server may go on without the database; `None` if it is the only server.
    pub(super) lease_left: Option<Duration>,
    pub(super) request_log: RequestLogStats,
}

impl Circumstances {
    pub(super) fn of(store: &Store, now: Timestamp) -> Self {
        let lease_left = store.cluster().map(|stats| stats.lease_left);
        Self { now, lease_left, request_log: store.requests().stats() }
    }
}

/// The findings, the worst first.
pub(super) fn findings(status: &ServerStatus, here: &Circumstances) -> Vec<Finding> {
    let mut findings = vec![admission(here), calls(status), ports(status), request_log(here), mail(status)];
    findings.extend(status.certificates.iter().map(|one| certificate(one, here.now)));
    findings.extend(plain_http(status));
    findings.sort_by_key(|finding| finding.level);
    findings
}

fn admission(here: &Circumstances) -> Finding {
    match here.lease_left {
        Some(Duration::ZERO) => Finding::new(
            Level::Bad,
            "Requests",
            "This server has lost its lease and refuses requests with an API key until the database answers again.",
        ),
        Some(_) => {
            Finding::new(Level::Good, "Requests", "The database answers, and this server holds its lease.")
        }
        None => Finding::new(Level::Good, "Requests", "The database answers."),
    }
}

fn calls(status: &ServerStatus) -> Finding {
    let sip = &status.sip;
    if sip.listen.ip().is_loopback() {
        return Finding::new(
            Level::Warning,
            "SIP",
            "Only this machine can call it. Set sip.listen to an address that carriers reach.",
        );
    }
    match sip.unreachable {
        Some(address) => Finding::new(
            Level::Warning,
            "SIP",
            format!(
                "Carriers on the Internet cannot reach {address}, which SIP and SDP name. Set sip.public_host to the \
                 public address or name of this server, unless all carriers are in its private network."
            ),
        ),
        None => {
            Finding::new(Level::Good, "SIP", format!("Carriers are told to reach it at {}.", sip.advertised))
        }
    }
}

fn ports(status: &ServerStatus) -> Finding {
    let media = status.media;
    let (used, total) = (media.ports_in_use, media.ports_total);
    let share = used.saturating_mul(100).checked_div(total).unwrap_or(100);
    if used >= total || media.calls >= media.max_calls {
        Finding::new(
            Level::Bad,
            "Calls",
            "New calls are refused: all RTP ports or all calls of the limit are in use.",
        )
    } else if share >= BUSY_PORTS {
        Finding::new(
            Level::Warning,
            "Calls",
            format!(
                "{share}% of the RTP ports are in use. Widen media.rtp_ports before new calls are refused."
            ),
        )
    } else {
        Finding::new(Level::Good, "Calls", "There are RTP ports for more calls.")
    }
}

fn request_log(here: &Circumstances) -> Finding {
    let lost = here.request_log.details_lost.saturating_add(here.request_log.counts_lost);
    if lost == 0 {
        return Finding::new(Level::Good, "Request log", "Every request since the start was recorded.");
    }
    Finding::new(
        Level::Warning,
        "Request log",
        format!("{} not recorded since the start, because the database was too slow.", were(lost)),
    )
}

fn were(requests: u64) -> String {
    format!("{} {}", counted(requests, "request", "requests"), if requests == 1 { "was" } else { "were" })
}

fn mail(status: &ServerStatus) -> Finding {
    match &status.mail_server {
        Some(server) => {
            Finding::new(Level::Good, "Email", format!("Alerts and invitations go out through {server}."))
        }
        None => Finding::new(
            Level::Note,
            "Email",
            "No mail server is configured. Alerts stay here, and links for invitations are passed on by hand.",
        ),
    }
}

fn certificate(one: &CertificateFacts, now: Timestamp) -> Finding {
    let (about, soon, remedy) = match one.role {
        CertificateRole::FromFiles => {
            ("Certificate", FILES_EXPIRE_SOON, "Renew its files and send SIGHUP to the server.")
        }
        CertificateRole::FromLocalAuthority => (
            "Certificate",
            RENEWAL_IS_LATE,
            "The server should have renewed it; its log says why it did not.",
        ),
        CertificateRole::LocalAuthority => (
            "Local authority",
            FILES_EXPIRE_SOON,
            "The server issues it again at the next start; clients must then trust the new file.",
        ),
    };
    let Some(end) = one.expires_at else {
        return Finding::new(
            Level::Warning,
            about,
            "It cannot be read, so nothing is known about its expiry.",
        );
    };
    let left = end.since(now);
    match span(left) {
        None => Finding::new(Level::Bad, about, format!("It has expired, and clients refuse it. {remedy}")),
        Some(length) if left < soon => {
            Finding::new(Level::Warning, about, format!("It expires in {length}. {remedy}"))
        }
        Some(length) => Finding::new(Level::Good, about, format!("Valid for another {length}.")),
    }
}

/// Plain HTTP is for programs on the same machine.
fn plain_http(status: &ServerStatus) -> Option<Finding> {
    let listener = status.listeners.iter().find(|one| {
        one.address.starts_with("http://") && one.name != "Metrics" && one.reach == ListenerReach::Machine
    })?;
    let text =
        format!("The API is also served without TLS at {}, to programs on this machine.", listener.address);
    Some(Finding::new(Level::Note, "Plain HTTP", text))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::tests::server::status;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn here() -> Circumstances {
        let request_log = RequestLogStats { details_lost: 0, counts_lost: 0 };
        Circumstances { now: NOW, lease_left: None, request_log }
    }

    fn about(findings: &[Finding], name: &str) -> (Level, String) {
        let found = findings.iter().find(|finding| finding.about == name).unwrap();
        (found.level, found.text.clone())
    }

    #[test]
    fn a_healthy_server_needs_no_attention() {
        let findings = findings(&status(), &here());
        assert!(findings.iter().all(|finding| !finding.needs_attention()), "{findings:?}");
    }

    #[test]
    fn what_fails_comes_first_and_says_what_to_do() {
        let mut status = status();
        status.certificates[0].expires_at = Some(NOW);
        status.sip.unreachable = Some(IpAddr::from([10, 0, 0, 1]));
        status.media.ports_in_use = status.media.ports_total * 9 / 10;
        let mut here = here();
        here.lease_left = Some(Duration::ZERO);
        here.request_log.details_lost = 1;
        let findings = findings(&status, &here);
        assert_eq!(findings[0].level, Level::Bad);
        assert!(findings.is_sorted_by_key(|finding| finding.level), "{findings:?}");
        assert_eq!(about(&findings, "Requests").0, Level::Bad);
        let (level, text) = about(&findings, "Certificate");
        assert!(level == Level::Bad && text.contains("has expired"), "{text}");
        let (level, text) = about(&findings, "SIP");
        assert!(
            level == Level::Warning && text.contains("10.0.0.1") && text.contains("sip.public_host"),
            "{text}"
        );
        assert!(about(&findings, "Calls").1.starts_with("90% of the RTP ports"));
        assert!(about(&findings, "Request log").1.starts_with("1 request was not recorded"));
    }

    #[test]
    fn certificates_need_attention_before_they_expire() {
        let left = |role, days: u64| {
            let end = NOW.plus(Duration::from_hours(24 * days));
            certificate(&CertificateFacts { role, names: Vec::new(), expires_at: Some(end) }, NOW).level
        };
        assert_eq!(left(CertificateRole::FromFiles, 13), Level::Warning);
        assert_eq!(left(CertificateRole::FromFiles, 15), Level::Good);
        assert_eq!(left(CertificateRole::FromLocalAuthority, 24), Level::Warning);
        assert_eq!(left(CertificateRole::FromLocalAuthority, 29), Level::Good);
    }
}
