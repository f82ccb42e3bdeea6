//! Tags, branches and Call-IDs that nobody can guess, derived from the seed the endpoint was given: the same
//! seed gives the same run, which is what makes a failing simulation repeatable.

use super::config::EndpointSeed;
use crate::digest::{hex, hmac_sha256};
use crate::message::{BRANCH_COOKIE, CallId, ResponseSeed, Tag};

/// Bytes of MAC in a token: 80 bits, well over the 32 that RFC 3261 section 19.3 asks for.
const TOKEN_BYTES: usize = 10;

pub(crate) struct Tokens {
    seed: EndpointSeed,
    made: u64,
}

impl Tokens {
    pub(crate) fn new(seed: EndpointSeed) -> Self {
        Self { seed, made: 0 }
    }

    fn fresh(&mut self) -> String {
        self.made += 1;
        hex(&hmac_sha256(&self.seed.0, &[b"token", &self.made.to_be_bytes()])[..TOKEN_BYTES])
    }

    pub(crate) fn tag(&mut self) -> Tag {
        Tag::new(self.fresh())
    }

    pub(crate) fn branch(&mut self) -> String {
        format!("{BRANCH_COOKIE}{}", self.fresh())
    }

    pub(crate) fn call_id(&mut self) -> CallId {
        CallId::new(self.fresh())
    }

    pub(crate) fn cnonce(&mut self) -> String {
        self.fresh()
    }

    /// The To tag of an answer without state: the same for every retransmission of one request (RFC 3261
    /// section 8.2.7).
    pub(crate) fn stateless_tag(&self, seed: &ResponseSeed) -> String {
        let via = seed.top_via().map(ToString::to_string).unwrap_or_default();
        let parts = [b"stateless", seed.call_id().as_bytes(), via.as_bytes()];
        hex(&hmac_sha256(&self.seed.0, &parts)[..TOKEN_BYTES])
    }
}
