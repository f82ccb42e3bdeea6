//! Connections that are being set up, page by page. What was entered is kept in memory, because credentials belong neither in
//! addresses nor in hidden fields; a bounded number of them, for an hour after the last page.

use std::collections::BTreeMap;
use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_core::entropy::{Entropy, EntropyError};
use telepath_core::id::{AccountId, UserId};
use telepath_core::secret::SecretText;
use telepath_core::trunk::{AgentProtocol, AiProvider};

use crate::kept::Kept;

const LIFETIME: Duration = Duration::from_hours(1);

/// A connection before it is created.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) provider: AiProvider,
    /// Of a custom agent.
    pub(crate) custom_endpoint: String,
    /// Of a custom agent.
    pub(crate) agent_protocol: AgentProtocol,
    /// Of a custom agent.
    pub(crate) headers: BTreeMap<String, SecretText>,
    /// Of the other providers.
    pub(crate) api_key: Option<SecretText>,
    pub(crate) elevenlabs_agent_id: String,
    pub(crate) system_prompt: String,
}

/// Whose draft it is. A confirmation renews the session, so the session is not part of it.
pub(crate) type Owner = (AccountId, UserId);

/// The drafts that are kept.
#[derive(Debug, Default)]
pub(crate) struct Drafts(Kept<Owner, Draft>);

impl Drafts {
    /// Keeps a new draft, under a random id.
    pub(crate) fn begin(
        &self,
        owner: Owner,
        draft: Draft,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<String, EntropyError> {
        self.0.keep(owner, draft, (now, now.plus(LIFETIME)), entropy)
    }

    pub(crate) fn get(&self, owner: Owner, id: &str, now: Timestamp) -> Option<Draft> {
        self.0.get(owner, id, now)
    }

    /// Keeps another text of a draft; one that is gone stays gone.
    pub(crate) fn replace(&self, owner: Owner, id: &str, draft: Draft, now: Timestamp) {
        self.0.replace(owner, id, draft, now.plus(LIFETIME));
    }

    pub(crate) fn remove(&self, owner: Owner, id: &str) {
        self.0.remove(owner, id);
    }
}

#[cfg(test)]
mod tests {
    use telepath_core::entropy::SystemEntropy;
    use telepath_core::id::Id as _;

    use super::*;
    use crate::kept::{MOST, MOST_OF_AN_OWNER};

    const NOON: Timestamp = Timestamp::from_unix_seconds(1_800_014_400);

    fn owner(number: usize) -> Owner {
        let user = UserId::from_bytes([u8::try_from(number % 256).unwrap(); 16]);
        (AccountId::from_bytes([1; 16]), user)
    }

    fn draft(name: &str) -> Draft {
        Draft {
            name: name.to_owned(),
            provider: AiProvider::OpenAi,
            custom_endpoint: String::new(),
            agent_protocol: AgentProtocol::default(),
            headers: BTreeMap::new(),
            api_key: Some(SecretText::new("sk-never-shown".to_owned())),
            elevenlabs_agent_id: String::new(),
            system_prompt: String::new(),
        }
    }

    fn begin(drafts: &Drafts, of: usize) -> String {
        drafts.begin(owner(of), draft("Support"), NOON, &SystemEntropy::default()).unwrap()
    }

    #[test]
    fn a_draft_is_its_users_until_it_is_removed_or_an_hour_old() {
        let drafts = Drafts::default();
        let id = begin(&drafts, 1);
        assert!(drafts.get(owner(2), &id, NOON).is_none() && drafts.get(owner(1), "x", NOON).is_none());
        let other = (AccountId::from_bytes([2; 16]), owner(1).1);
        assert!(drafts.get(other, &id, NOON).is_none(), "another account of the same user");
        drafts.replace(owner(2), &id, draft("Theirs"), NOON);
        drafts.replace(owner(1), &id, draft("Sales"), NOON.plus(LIFETIME / 2));
        assert_eq!(drafts.get(owner(1), &id, NOON.plus(LIFETIME)).unwrap().name, "Sales");
        assert!(drafts.get(owner(1), &id, NOON.plus(LIFETIME * 2)).is_none());
        drafts.remove(owner(2), &id);
        assert!(drafts.get(owner(1), &id, NOON).is_some());
        drafts.remove(owner(1), &id);
        assert!(drafts.get(owner(1), &id, NOON).is_none());
    }

    #[test]
    fn the_number_of_drafts_is_bounded_for_a_user_and_for_all() {
        let drafts = Drafts::default();
        let first = begin(&drafts, 0);
        (0..MOST_OF_AN_OWNER).for_each(|_| drop(begin(&drafts, 0)));
        assert!(drafts.get(owner(0), &first, NOON).is_none(), "the oldest of the user was dropped");
        (1..=MOST).for_each(|number| drop(begin(&drafts, number % 200)));
        assert_eq!(drafts.0.len(), MOST);
    }

    #[test]
    fn debug_output_shows_no_credential() {
        assert!(!format!("{:?} {:?}", draft("x"), Drafts::default()).contains("never-shown"));
    }
}
