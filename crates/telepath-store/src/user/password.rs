//! Passwords are hashed and compared off the threads that serve requests.

use std::sync::Arc;

use telepath_core::secret::SecretText;
use telepath_core::user::{Password, PasswordHash};

use super::hashing::HashingError;
use crate::store::Store;

impl Store {
    pub(super) async fn hash_password(&self, password: Password) -> Result<PasswordHash, HashingError> {
        let entropy = Arc::clone(&self.context.entropy);
        self.password_hashing.run(move || PasswordHash::of(&password, &*entropy)).await
    }

    /// Whether an attempt is the password. It costs the same when there is no hash to compare with.
    pub(super) async fn verify_password(
        &self,
        attempt: SecretText,
        hash: Option<PasswordHash>,
    ) -> Result<bool, HashingError> {
        let entropy = Arc::clone(&self.context.entropy);
        let verify = move || match hash {
            Some(hash) => Ok(hash.verify(&attempt)),
            None => PasswordHash::verify_nothing(&attempt, &*entropy).map(|()| false),
        };
        self.password_hashing.run(verify).await
    }
}
