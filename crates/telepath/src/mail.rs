//! Mails about alerts over SMTP. What is owed stands in the database; this sends it and says what became of it.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use telepath_store::{MailFate, OwedMail, Store, StoreError};

use crate::config::{SmtpConfig, SmtpTls};

/// How long one command of the conversation may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long one mail may take; well within the time for which it is claimed.
const MAIL_WITHIN: Duration = Duration::from_mins(2);

/// Sends mails.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

/// Why a mail was not taken.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error("the mail cannot be put together: {0}")]
    Message(#[from] lettre::error::Error),
    #[error("{0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
    #[error("the mail server took too long")]
    TooLong,
}

impl NotTaken {
    /// Whether no later try can change it: a mail that is no mail. A server that refuses with 5xx today may have been set
    /// right tomorrow, so that is tried again.
    const fn is_hopeless(&self) -> bool {
        match self {
            NotTaken::Message(_) => true,
            NotTaken::Smtp(_) | NotTaken::TooLong => false,
        }
    }
}

impl Mailer {
    /// Prepares the way to the server; nothing is connected yet.
    ///
    /// # Errors
    /// When the certificates that the server is checked against cannot be used.
    pub fn new(config: &SmtpConfig) -> Result<Self, lettre::transport::smtp::Error> {
        let parameters = || TlsParameters::new_rustls(config.host.clone());
        let tls = match config.tls {
            SmtpTls::Tls => Tls::Wrapper(parameters()?),
            SmtpTls::StartTls => Tls::Required(parameters()?),
            SmtpTls::None => Tls::None,
        };
        // The name says that TLS is not on by itself; it was chosen just above.
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
            .port(config.port)
            .tls(tls)
            .timeout(Some(ANSWER_WITHIN));
        if let Some((username, password)) = &config.credentials {
            builder = builder.credentials(Credentials::new(username.clone(), password.expose().to_owned()));
        }
        Ok(Self { transport: builder.build(), from: config.from.clone(), to: config.to.clone() })
    }

    /// Sends what is owed and due; how many mails were taken.
    pub async fn send_owed(&self, store: &Store) -> Result<usize, StoreError> {
        let mut taken = 0;
        loop {
            let mails = store.claim_mails().await?;
            if mails.is_empty() {
                return Ok(taken);
            }
            for mail in mails {
                taken += usize::from(self.settle(store, &mail).await?);
            }
        }
    }

    async fn settle(&self, store: &Store, mail: &OwedMail) -> Result<bool, StoreError> {
        let alert = mail.alert.id;
        match self.send(mail).await {
            Ok(()) => {
                store.mail_sent(alert).await?;
                metrics::counter!("telepath_alert_mails_total", "outcome" => "sent").increment(1);
                Ok(true)
            }
            Err(error) => {
                let fate = store.mail_failed(alert, mail.attempt, error.is_hopeless()).await?;
                let outcome = match fate {
                    MailFate::Waits => "failed",
                    MailFate::GivenUp => "given_up",
                };
                metrics::counter!("telepath_alert_mails_total", "outcome" => outcome).increment(1);
                tracing::warn!(%alert, attempt = mail.attempt, %error, outcome, "the mail about an alert was not taken");
                Ok(false)
            }
        }
    }

    async fn send(&self, mail: &OwedMail) -> Result<(), NotTaken> {
        let text = mail.alert.mail(&mail.mask);
        let domain = self.from.email.domain();
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(text.subject)
            // The same for every try, so that a mail that was sent twice is recognised (RFC 5322 section 3.6.4).
            .message_id(Some(format!("<{}@{domain}>", mail.alert.id)))
            .date(std::time::UNIX_EPOCH + since_epoch(mail))
            .header(ContentType::TEXT_PLAIN);
        for recipient in &self.to {
            message = message.to(recipient.clone());
        }
        let message = message.body(text.body)?;
        let sent = tokio::time::timeout(MAIL_WITHIN, self.transport.send(message));
        sent.await.map_err(|_| NotTaken::TooLong)??;
        Ok(())
    }
}

fn since_epoch(mail: &OwedMail) -> Duration {
    Duration::from_millis(u64::try_from(mail.alert.raised_at.unix_ms()).unwrap_or(0))
}

#[cfg(test)]
mod tests;
