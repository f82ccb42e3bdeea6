//! Answers of `/v1/whoami` by key and version. A changed key has a newer version, so an old answer is never given again;
//! when an account is changed, all answers are forgotten.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use crossbeam_utils::CachePadded;
use telepath_core::id::{Id as _, KeyId};

/// Parts with a lock of their own.
const PARTS: usize = 16;
/// Answers per part; a part that is full starts anew.
const PER_PART: usize = 1024;

/// The answers that were given.
#[derive(Default)]
pub(crate) struct WhoamiAnswers([CachePadded<Part>; PARTS]);

type Part = Mutex<HashMap<KeyId, (i64, Bytes)>>;

impl WhoamiAnswers {
    /// The answer for a key of just this version.
    pub(super) fn get(&self, id: KeyId, version: i64) -> Option<Bytes> {
        let part = self.part(id).lock().unwrap_or_else(PoisonError::into_inner);
        part.get(&id).filter(|(known, _)| *known == version).map(|(_, body)| body.clone())
    }

    /// Keeps an answer that was read after the key had this version.
    pub(super) fn put(&self, id: KeyId, version: i64, body: Bytes) {
        let mut part = self.part(id).lock().unwrap_or_else(PoisonError::into_inner);
        if part.len() >= PER_PART && !part.contains_key(&id) {
            part.clear();
        }
        part.insert(id, (version, body));
    }

    /// Forgets everything. An answer that was read before the change and is put after this lives on until its key is
    /// changed or the part is full; it tells an old name of the account and nothing else that is old.
    pub(crate) fn forget_all(&self) {
        for part in &self.0 {
            part.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// By the last byte, which is random.
    fn part(&self, id: KeyId) -> &Part {
        &self.0[usize::from(id.as_bytes()[15]) % PARTS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> KeyId {
        KeyId::from_bytes(number.to_be_bytes())
    }

    #[test]
    fn an_answer_is_given_for_its_version_only() {
        let answers = WhoamiAnswers::default();
        answers.put(id(1), 3, Bytes::from_static(b"three"));
        assert_eq!(answers.get(id(1), 3).as_deref(), Some(&b"three"[..]));
        assert_eq!(answers.get(id(1), 4), None);
        assert_eq!(answers.get(id(2), 3), None);
    }

    #[test]
    fn the_number_of_answers_is_bounded() {
        let answers = WhoamiAnswers::default();
        for number in 0..100_000 {
            answers.put(id(number), 1, Bytes::new());
        }
        let kept: usize = answers.0.iter().map(|part| part.lock().unwrap().len()).sum();
        assert!(kept <= PARTS * PER_PART, "{kept}");
        assert!(answers.get(id(99_999), 1).is_some());
    }
}
