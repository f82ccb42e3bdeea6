//! `[alerts]` and `[smtp]`.

use std::net::IpAddr;

use lettre::message::Mailbox;
use telepath_core::alert::{AlertRule, AlertSettings, Cooldowns};
use telepath_core::secret::SecretText;

use super::Check;
use crate::config::values;

/// The mail server for alerts.
#[derive(Debug, Clone)]
pub struct SmtpConfig {
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    /// User name and password.
    pub credentials: Option<(String, SecretText)>,
    pub from: Mailbox,
    /// The recipients; never empty.
    pub to: Vec<Mailbox>,
}

/// Transport security of the connection to a mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// TLS from the first byte.
    Tls,
    /// STARTTLS (RFC 3207) is required before anything else is sent.
    StartTls,
    /// No TLS.
    None,
}

impl SmtpTls {
    const fn default_port(self) -> u16 {
        match self {
            SmtpTls::Tls => 465,
            SmtpTls::StartTls => 587,
            SmtpTls::None => 25,
        }
    }
}

const MAX_RECIPIENTS: usize = 20;

/// The setting that holds a rule's cooldown; `None` if it is not configurable.
const fn cooldown_key(rule: AlertRule) -> Option<&'static str> {
    Some(match rule {
        AlertRule::NewAddress => "alerts.new_address_cooldown",
        AlertRule::RequestSpike => "alerts.request_spike_cooldown",
        AlertRule::ErrorBurst => "alerts.error_burst_cooldown",
        AlertRule::LimitRiding => "alerts.limit_riding_cooldown",
        AlertRule::IdleAwake => "alerts.idle_awake_cooldown",
        AlertRule::DeadKeyUsed => "alerts.dead_key_used_cooldown",
        AlertRule::SeenInClear => "alerts.seen_in_clear_cooldown",
        AlertRule::LeakReported => "alerts.leak_reported_cooldown",
        AlertRule::Expiring => "alerts.expiring_cooldown",
        AlertRule::Unused => "alerts.unused_cooldown",
        AlertRule::WebhookFailing => return None,
    })
}

impl Check<'_> {
    pub(super) fn alerts(&mut self) -> Option<AlertSettings> {
        let enabled = self.required("alerts.enabled", |text| match text {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err("must be yes or no".to_owned()),
        });
        let keep = self.required("alerts.keep", values::duration);
        let learning = self.required("alerts.learning", values::duration);
        let (factor, requests) = (self.count("alerts.spike_factor"), self.count("alerts.spike_requests"));
        let (errors, percent) = (self.count("alerts.burst_errors"), self.count("alerts.burst_percent"));
        let (share, minutes) = (self.count("alerts.riding_percent"), self.count("alerts.riding_minutes"));
        let idle = self.required("alerts.idle", values::duration);
        let expiring = self.required("alerts.expiring", values::duration);
        let unused = self.required("alerts.unused", values::duration);
        let mut cooldowns = Some(Cooldowns::default());
        for rule in AlertRule::ALL {
            let Some(key) = cooldown_key(*rule) else { continue };
            match (&mut cooldowns, self.required(key, values::duration)) {
                (Some(cooldowns), Some(length)) => cooldowns.set(*rule, length),
                (_, None) | (None, _) => cooldowns = None,
            }
        }
        Some(AlertSettings {
            enabled: enabled?,
            by_mail: false,
            keep: keep?,
            learning: learning?,
            spike_factor: factor?,
            spike_requests: requests?,
            burst_errors: errors?,
            burst_percent: percent?,
            riding_percent: share?,
            riding_minutes: minutes?,
            idle: idle?,
            expiring: expiring?,
            unused: unused?,
            cooldowns: cooldowns?,
        })
    }

    /// `None` if a setting is invalid, `Some(None)` if no mail server is configured.
    #[expect(clippy::option_option, reason = "outer: valid or not; inner: set or not")]
    pub(super) fn smtp(&mut self) -> Option<Option<SmtpConfig>> {
        let Some(host) = self.optional("smtp.host", values::host)? else { return Some(None) };
        let tls = self.required("smtp.tls", |text| match text {
            "tls" => Ok(SmtpTls::Tls),
            "starttls" => Ok(SmtpTls::StartTls),
            "none" => Ok(SmtpTls::None),
            _ => Err("must be starttls, tls or none".to_owned()),
        });
        let port = self.optional("smtp.port", |text| {
            text.parse::<u16>().ok().filter(|port| *port > 0).ok_or("must be from 1 to 65535".to_owned())
        });
        let username = self.optional("smtp.username", single_line)?;
        let credentials = match (username, self.secret("smtp.password")) {
            (None, None) => None,
            (Some(username), Some(password)) => Some((username, password)),
            (Some(_), None) => return self.missing("smtp.password", "is required with smtp.username"),
            (None, Some(_)) => return self.missing("smtp.username", "is required with smtp.password"),
        };
        if tls == Some(SmtpTls::None) && credentials.is_some() && !is_loopback(&host) {
            return self
                .missing("smtp.tls", "must not be none with a password, which would be sent in cleartext");
        }
        let from = self.optional("smtp.from", mailbox)?;
        let to = self.optional("smtp.to", mailboxes)?;
        let Some(from) = from else { return self.missing("smtp.from", "is required with smtp.host") };
        let Some(to) = to else { return self.missing("smtp.to", "is required with smtp.host") };
        let tls = tls?;
        let port = port?.unwrap_or(tls.default_port());
        Some(Some(SmtpConfig { host, port, tls, credentials, from, to }))
    }
}

/// Whether `host` is this machine.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn single_line(text: &str) -> Result<String, String> {
    let fits = (1..=255).contains(&text.len()) && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err("must have 1 to 255 characters on one line".to_owned()) }
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    let wrong = || "must be an email address such as ops@example.com".to_owned();
    single_line(text)?.parse().map_err(|_| wrong())
}

fn mailboxes(text: &str) -> Result<Vec<Mailbox>, String> {
    let texts: Vec<&str> = text.split(',').map(str::trim).filter(|text| !text.is_empty()).collect();
    if (1..=MAX_RECIPIENTS).contains(&texts.len()) {
        texts.into_iter().map(mailbox).collect()
    } else {
        Err(format!("must be 1 to {MAX_RECIPIENTS} email addresses"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment, Layers};

    fn check(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let env: Environment = [("TELEPATH_DATA_DIR", "d")]
            .iter()
            .chain(pairs)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let layers = Layers::gather(&Vec::new(), &env, None).unwrap();
        Config::check(&layers).map_err(|error| error.to_string())
    }

    #[test]
    fn the_default_alert_settings_match_the_settings_table() {
        let config = check(&[]).unwrap();
        assert_eq!(config.alerts, AlertSettings::default());
        assert!(config.smtp.is_none());
    }

    const SERVER: [(&str, &str); 3] = [
        ("TELEPATH_SMTP_HOST", "mail.example.com"),
        ("TELEPATH_SMTP_FROM", "Telepath <telepath@example.com>"),
        ("TELEPATH_SMTP_TO", "ops@example.com, Night Shift <night@example.com>"),
    ];

    #[test]
    fn alert_emails_are_enabled_by_a_mail_server() {
        let config = check(&SERVER).unwrap();
        assert!(config.alerts.by_mail);
        let smtp = config.smtp.unwrap();
        assert_eq!((smtp.port, smtp.tls, smtp.to.len()), (587, SmtpTls::StartTls, 2));
        let tls = check(&[&SERVER[..], &[("TELEPATH_SMTP_TLS", "tls")]].concat()).unwrap();
        assert_eq!(tls.smtp.unwrap().port, 465);
    }

    #[test]
    fn incomplete_smtp_settings_and_cleartext_passwords_are_rejected() {
        let signed = [("TELEPATH_SMTP_USERNAME", "u"), ("TELEPATH_SMTP_PASSWORD", "hidden-word")];
        let clear = [("TELEPATH_SMTP_TLS", "none")];
        let here = [("TELEPATH_SMTP_HOST", "127.0.0.1")];
        assert!(check(&[&SERVER[..], &signed].concat()).is_ok());
        assert!(check(&[&SERVER[..], &clear].concat()).is_ok());
        assert!(check(&[&SERVER[1..], &here, &signed, &clear].concat()).is_ok());
        for (wrong, part) in [
            ([&SERVER[..], &signed, &clear].concat(), "in cleartext"),
            ([&SERVER[..], &signed[..1]].concat(), "smtp.password is required"),
            ([&SERVER[..], &signed[1..]].concat(), "smtp.username is required"),
            (SERVER[..2].to_vec(), "smtp.to is required"),
            ([&SERVER[..], &[("TELEPATH_SMTP_PORT", "0")]].concat(), "smtp.port"),
            ([&SERVER[..2], &[("TELEPATH_SMTP_TO", "nobody")]].concat(), "smtp.to"),
            (vec![("TELEPATH_ALERTS_ENABLED", "maybe")], "alerts.enabled"),
            (vec![("TELEPATH_ALERTS_UNUSED_COOLDOWN", "7")], "alerts.unused_cooldown"),
        ] {
            let error = check(&wrong).unwrap_err();
            assert!(error.contains(part) && !error.contains("hidden-word"), "{part} in {error}");
        }
    }
}
