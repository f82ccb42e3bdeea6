//! Letters to people: plain text, sent once.

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
        Self { to: Addressee::One(to.clone()), subject, body: SecretText::new(body) }
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
        Self { to: Addressee::One(to.clone()), subject, body: SecretText::new(body) }
    }

    /// Shows that the mail server works.
    pub fn test(to: Addressee, by: &Email) -> Self {
        let body =
            format!("{by} sent this from the dashboard to test the mail server. Nothing is to be done.\n");
        Self { to, subject: "[Telepath] Test".to_owned(), body: SecretText::new(body) }
    }
}

/// A text that others chose, for a header or a sentence.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
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
