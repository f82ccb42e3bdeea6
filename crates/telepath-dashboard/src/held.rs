//! Forms that wait until their sender has confirmed who they are. They are kept in memory, a bounded number of them, for as long
//! as a confirmation lasts; a form that is gone must be sent again.

use telepath_core::clock::Timestamp;
use telepath_core::entropy::{Entropy, EntropyError};
use telepath_core::id::SessionId;
use telepath_core::user::STEP_UP_LIFETIME;

use crate::form::Fields;
use crate::kept::Kept;

/// A form as it was sent.
#[derive(Debug, Clone)]
pub(crate) struct HeldForm {
    pub(crate) path: String,
    pub(crate) fields: Fields,
}

/// The forms that wait.
#[derive(Debug, Default)]
pub(crate) struct HeldForms(Kept<SessionId, HeldForm>);

impl HeldForms {
    /// Keeps a form; its id goes into the page that asks for the confirmation.
    pub(crate) fn hold(
        &self,
        session: SessionId,
        form: HeldForm,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<String, EntropyError> {
        self.0.keep(session, form, (now, now.plus(STEP_UP_LIFETIME)), entropy)
    }

    /// Takes a form of a session out; it can be taken once.
    pub(crate) fn take(&self, session: SessionId, id: &str, now: Timestamp) -> Option<HeldForm> {
        self.0.take(session, id, now)
    }
}

#[cfg(test)]
mod tests {
    use telepath_core::entropy::SystemEntropy;
    use telepath_core::id::Id as _;

    use super::*;
    use crate::kept::{MOST, MOST_OF_AN_OWNER};

    const NOON: Timestamp = Timestamp::from_unix_seconds(1_800_014_400);

    fn session(number: usize) -> SessionId {
        SessionId::from_bytes([u8::try_from(number % 256).unwrap(); 16])
    }

    fn hold(forms: &HeldForms, of: usize, path: &str) -> String {
        let form = HeldForm { path: path.to_owned(), fields: Fields::parse("a=1") };
        forms.hold(session(of), form, NOON, &SystemEntropy::default()).unwrap()
    }

    #[test]
    fn a_form_is_returned_once_and_to_its_session_only() {
        let forms = HeldForms::default();
        let id = hold(&forms, 1, "/x");
        assert!(forms.take(session(2), &id, NOON).is_none());
        assert_eq!(forms.take(session(1), &id, NOON).unwrap().path, "/x");
        assert!(forms.take(session(1), &id, NOON).is_none());
    }

    #[test]
    fn a_form_is_kept_for_as_long_as_a_confirmation_lasts() {
        let forms = HeldForms::default();
        let id = hold(&forms, 1, "/x");
        assert!(forms.take(session(1), &id, NOON.plus(STEP_UP_LIFETIME)).is_none());
    }

    #[test]
    fn the_number_of_forms_is_bounded_for_a_session_and_for_all() {
        let forms = HeldForms::default();
        let first = hold(&forms, 0, "/first");
        let ids: Vec<String> = (0..MOST_OF_AN_OWNER).map(|_| hold(&forms, 0, "/more")).collect();
        assert!(forms.take(session(0), &first, NOON).is_none(), "the oldest of the session was dropped");
        assert!(forms.take(session(0), &ids[0], NOON).is_some());
        for number in 1..=MOST {
            hold(&forms, number % 200 + 1, "/other");
        }
        assert_eq!(forms.0.len(), MOST);
        assert!(forms.take(session(0), &ids[1], NOON).is_none(), "the oldest of all was dropped");
    }
}
