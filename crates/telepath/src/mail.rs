//! Sends emails over SMTP. Pending alert emails are rows in the database; this module sends them and records the result.
//! Letters of the dashboard are sent at once and not stored.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::{Mailbox, Message, MessageBuilder, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use telepath_core::mail::{Addressee, Letter};
use telepath_core::ports::{Mail, MailError, PortFuture};
use telepath_store::{MailOutcome, PendingMail, Store, StoreError};

use crate::config::{SmtpConfig, SmtpTls};

/// The timeout of one SMTP command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// The timeout of one email; well within its lease.
const EMAIL_TIMEOUT: Duration = Duration::from_mins(2);

const MAILS: &str = "telepath_alert_mails_total";

/// Registers the descriptions of this module's metrics.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!(MAILS, "Attempts to send an alert email, by outcome.");
    for outcome in ["sent", "failed", "given_up"] {
        metrics::counter!(MAILS, "outcome" => outcome).increment(0);
    }
}

/// An SMTP client with its sender and recipients.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
    /// The origin of the dashboard, for links.
    pages: Option<String>,
}

/// Why an email was not sent.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("the message is invalid: {0}")]
    Message(#[from] lettre::error::Error),
    #[error("the address is invalid: {0}")]
    Address(#[from] lettre::address::AddressError),
    #[error("{0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
    #[error("the mail server did not respond in time")]
    TimedOut,
}

impl SendError {
    /// Whether retrying is pointless. A 5xx reply is retried, because the server's configuration may be fixed by then.
    const fn is_permanent(&self) -> bool {
        match self {
            SendError::Message(_) | SendError::Address(_) => true,
            SendError::Smtp(_) | SendError::TimedOut => false,
        }
    }
}

impl Mailer {
    /// Sets up the client without connecting. `pages` is the origin of the dashboard, if emails may link to it.
    ///
    /// # Errors
    /// If the system's root certificates cannot be loaded.
    pub fn new(config: &SmtpConfig, pages: Option<String>) -> Result<Self, lettre::transport::smtp::Error> {
        let parameters = || TlsParameters::new_rustls(config.host.clone());
        let tls = match config.tls {
            SmtpTls::Tls => Tls::Wrapper(parameters()?),
            SmtpTls::StartTls => Tls::Required(parameters()?),
            SmtpTls::None => Tls::None,
        };
        // "Dangerous" because TLS is off by default; it is set explicitly here.
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
            .port(config.port)
            .tls(tls)
            .timeout(Some(COMMAND_TIMEOUT));
        if let Some((username, password)) = &config.credentials {
            builder = builder.credentials(Credentials::new(username.clone(), password.expose().to_owned()));
        }
        Ok(Self { transport: builder.build(), from: config.from.clone(), to: config.to.clone(), pages })
    }

    /// Sends every email that is due. Returns how many were accepted by the server.
    pub async fn send_pending(&self, store: &Store) -> Result<usize, StoreError> {
        let mut sent = 0;
        loop {
            let mails = store.claim_mails().await?;
            if mails.is_empty() {
                return Ok(sent);
            }
            for mail in mails {
                sent += usize::from(self.send_and_record(store, &mail).await?);
            }
        }
    }

    async fn send_and_record(&self, store: &Store, mail: &PendingMail) -> Result<bool, StoreError> {
        let alert = mail.alert.id;
        match self.send(mail).await {
            Ok(()) => {
                store.mail_sent(alert).await?;
                metrics::counter!(MAILS, "outcome" => "sent").increment(1);
                Ok(true)
            }
            Err(error) => {
                let fate = store.mail_failed(alert, mail.attempt, error.is_permanent()).await?;
                let outcome = match fate {
                    MailOutcome::WillRetry => "failed",
                    MailOutcome::GivenUp => "given_up",
                };
                metrics::counter!(MAILS, "outcome" => outcome).increment(1);
                tracing::warn!(%alert, attempt = mail.attempt, %error, outcome, "could not send an alert email");
                Ok(false)
            }
        }
    }

    async fn send(&self, mail: &PendingMail) -> Result<(), SendError> {
        let link = self.pages.as_ref().map(|pages| format!("{pages}{}", mail.alert.page()));
        let text = mail.alert.mail(&mail.mask, link.as_deref());
        let domain = self.from.email.domain();
        // The same for every attempt, so that clients recognise duplicates (RFC 5322 section 3.6.4).
        let id = format!("<{}@{domain}>", mail.alert.id);
        let builder = Message::builder().message_id(Some(id)).date(UNIX_EPOCH + since_epoch(mail));
        self.transmit(builder, &self.to, text.subject, (text.body, Some(text.html))).await
    }

    async fn transmit(
        &self,
        builder: MessageBuilder,
        to: &[Mailbox],
        subject: String,
        (text, html): (String, Option<String>),
    ) -> Result<(), SendError> {
        let mut message = builder.from(self.from.clone()).subject(subject);
        for recipient in to {
            message = message.to(recipient.clone());
        }
        // Clients show the last form that they can (RFC 2046 section 5.1.4).
        let message = match html {
            Some(html) => message.multipart(MultiPart::alternative_plain_html(text, html))?,
            None => message.singlepart(SinglePart::plain(text))?,
        };
        let sent = tokio::time::timeout(EMAIL_TIMEOUT, self.transport.send(message));
        sent.await.map_err(|_| SendError::TimedOut)??;
        Ok(())
    }

    async fn send_letter(&self, letter: &Letter) -> Result<(), SendError> {
        let one: [Mailbox; 1];
        let to = match &letter.to {
            Addressee::AlertRecipients => self.to.as_slice(),
            Addressee::One(address) => {
                one = [Mailbox::new(None, address.as_str().parse()?)];
                &one
            }
        };
        // The id and the date are made by the library.
        let builder = Message::builder().message_id(None).date_now();
        let forms = (letter.body.expose().to_owned(), letter.html.clone());
        self.transmit(builder, to, letter.subject.clone(), forms).await
    }
}

impl Mail for Mailer {
    fn send<'a>(&'a self, letter: &'a Letter) -> PortFuture<'a, Result<(), MailError>> {
        Box::pin(async move {
            let sent = self.send_letter(letter).await;
            sent.map_err(|error| MailError(error.to_string()))
        })
    }
}

fn since_epoch(mail: &PendingMail) -> Duration {
    Duration::from_millis(u64::try_from(mail.alert.raised_at.unix_ms()).unwrap_or(0))
}

#[cfg(test)]
mod tests;
