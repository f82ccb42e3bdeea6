//! Tests of the emails about alerts: the dashboard, the API and the CLI send them with this function.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use telepath_core::alert::{Alert, AlertTestKind};
use telepath_core::audit::{AuditAction, AuditEntry, Origin};
use telepath_core::id::AccountId;
use telepath_core::key::KeyFilter;
use telepath_core::mail::{Addressee, Letter};
use telepath_core::page::PageRequest;
use telepath_core::ports::{Mail, MailError};
use telepath_core::secret::SecretText;

use crate::audit;
use crate::error::StoreError;
use crate::store::Store;

/// How long a test waits for the mail server.
const WITHIN: Duration = Duration::from_secs(20);
const NOT_CONFIGURED: &str = "no mail server is configured: set smtp.host, smtp.from and smtp.to";

/// The way of emails about alerts.
#[derive(Clone, Default)]
pub struct AlertPost {
    /// The mail server, if one is configured.
    pub mail: Option<Arc<dyn Mail>>,
    /// The origin of the dashboard, such as `https://voice.example`, for links.
    pub pages: Option<String>,
}

impl fmt::Debug for AlertPost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlertPost").field("pages", &self.pages).finish_non_exhaustive()
    }
}

impl Store {
    /// Sends a test to everybody who gets the emails about alerts, and waits until the mail server has accepted it. What goes wrong
    /// with the mail server is the result of the test, not an error of storage.
    pub async fn test_alerts(
        &self,
        account: AccountId,
        kind: AlertTestKind,
        post: &AlertPost,
        origin: Origin,
    ) -> Result<Result<(), MailError>, StoreError> {
        let Some(mail) = &post.mail else { return Ok(Err(MailError(NOT_CONFIGURED.to_owned()))) };
        let entry = AuditEntry {
            id: self.new_audit_id(origin.at)?,
            account_id: account,
            origin,
            action: AuditAction::AlertsTested,
            target: account.to_string(),
            before: json!({}),
            after: json!({ "kind": kind.name() }),
        };
        self.backend.write(move |db| Box::pin(async move { audit::write(db, &entry).await })).await?;
        let letter = match kind {
            AlertTestKind::Mail => {
                let actor = origin.actor.to_string();
                let names = self.names(account, std::slice::from_ref(&actor)).await?;
                let by = names.get(&actor).map_or(actor.as_str(), |named| named.name.as_str());
                Letter::test(Addressee::AlertRecipients, by)
            }
            AlertTestKind::Alert => self.example(account, post.pages.as_deref(), origin).await?,
        };
        Ok(match tokio::time::timeout(WITHIN, mail.send(&letter)).await {
            Ok(sent) => sent,
            Err(_elapsed) => Err(MailError("the mail server did not respond in time".to_owned())),
        })
    }

    /// An alert about the newest key of the account, or about the account if it has none.
    async fn example(
        &self,
        account: AccountId,
        pages: Option<&str>,
        origin: Origin,
    ) -> Result<Letter, StoreError> {
        let newest = PageRequest::new(1, 0).unwrap_or_default();
        let key = self.list_keys(account, KeyFilter::default(), newest).await?.items.into_iter().next();
        let (subject, name, mask) = match key {
            Some(key) => {
                let mask = key.secrets.first().map(|secret| secret.mask.as_str().to_owned());
                (key.id.into(), key.name, mask.unwrap_or_default())
            }
            None => (account.into(), "this account".to_owned(), String::new()),
        };
        let alert = Alert::example(self.new_id(origin.at)?, subject, name, origin.at);
        let link = pages.map(|pages| format!("{pages}/alerts/rules"));
        let text = alert.mail(&mask, link.as_deref());
        Ok(Letter {
            to: Addressee::AlertRecipients,
            subject: text.subject.replacen("[Telepath]", "[Telepath] Test:", 1),
            body: SecretText::new(text.body),
            html: Some(text.html),
        })
    }
}
