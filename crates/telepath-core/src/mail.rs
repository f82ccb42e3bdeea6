//! Letters to people: plain text, some of them also as HTML, sent once.

use crate::clock::Timestamp;
use crate::secret::SecretText;
use crate::user::{Email, Role};

/// Who gets a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressee {
    One(Email),
    /// Everybody who gets the emails about alerts.
    AlertRecipients,
}

/// A letter.
#[derive(Debug)]
pub struct Letter {
    pub to: Addressee,
    /// On one line.
    pub subject: String,
    /// May hold a one-use link.
    pub body: SecretText,
    /// The same as HTML that loads nothing; without a secret.
    pub html: Option<String>,
}

impl Letter {
    /// Brings somebody the link of their invitation.
    pub fn invitation(
        to: &Email,
        account: &str,
        role: Role,
        inviter: &str,
        link: &str,
        until: Timestamp,
    ) -> Self {
        let (account, inviter) = (one_line(account), one_line(inviter));
        let body = format!(
            "{inviter} invites you to the account {account} of Telepath, as {}.\n\n\
             Open this link to accept:\n\n  {link}\n\n\
             It works once, until {until}.\n\
             If you did not expect this, ignore it: nothing happens without the link.\n",
            role.name()
        );
        let subject = format!("[Telepath] Invitation to {account}");
        Self { to: Addressee::One(to.clone()), subject, body: SecretText::new(body), html: None }
    }

    /// Brings a user the link that sets another password.
    pub fn password_link(to: &Email, link: &str, until: Timestamp) -> Self {
        let body = format!(
            "Somebody asked for a new password for {to}.\n\n\
             Open this link to choose one:\n\n  {link}\n\n\
             It works once, until {until}. All your sessions end then. A second factor stays as it is.\n\
             If it was not you, ignore this: your password stays the same.\n"
        );
        let subject = "[Telepath] Choose a new password".to_owned();
        Self { to: Addressee::One(to.clone()), subject, body: SecretText::new(body), html: None }
    }

    /// Shows that the mail server works.
    pub fn test(to: Addressee, by: &str) -> Self {
        let text = format!("{} sent this to test the mail server. Nothing is to be done.", one_line(by));
        let subject = "[Telepath] Test".to_owned();
        let html = html_page(&subject, &format!("<p>{}</p>", escaped(&text)));
        Self { to, subject, body: SecretText::new(format!("{text}\n")), html: Some(html) }
    }
}

/// A text that others chose, for a header or a sentence.
pub(crate) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// A whole HTML document that loads nothing.
pub(crate) fn html_page(title: &str, content: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title></head>\n\
         <body style=\"margin:0;padding:24px;font:15px/1.5 system-ui,sans-serif;color:#1a1830;background:#fff\">\n\
         <div style=\"max-width:600px\">\n{content}\n</div></body></html>\n",
        escaped(title)
    )
}

/// A text whose characters mean nothing in HTML.
pub(crate) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_unix_seconds(1_800_014_400);

    #[test]
    fn an_invitation_says_who_invites_to_what_and_cannot_be_given_headers() {
        let to: Email = "grace@example.com".parse().unwrap();
        let account = "Voice\r\nBcc: all@example.com";
        let letter =
            Letter::invitation(&to, account, Role::Admin, "Ada\nLovelace", "https://x.example/i", NOON);
        assert_eq!(letter.subject, "[Telepath] Invitation to Voice  Bcc: all@example.com");
        let body = letter.body.expose();
        assert!(body.starts_with("Ada Lovelace invites you to the account Voice  Bcc"), "{body}");
        assert!(body.contains("\n  https://x.example/i\n") && body.contains("2027-01-15T12:00:00.000Z"));
    }

    #[test]
    fn a_link_is_not_in_debug_output() {
        let to: Email = "grace@example.com".parse().unwrap();
        let letter = Letter::password_link(&to, "https://x.example/reset?code=abc", NOON);
        assert!(letter.body.expose().contains("code=abc") && !format!("{letter:?}").contains("abc"));
    }
}
