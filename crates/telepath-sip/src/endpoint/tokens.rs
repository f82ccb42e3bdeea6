//! Unpredictable tags, branches and Call-IDs (RFC 3261 section 19.3), derived from the seed of the endpoint. The same seed
//! yields the same sequence, so a failing simulation can be repeated.

use super::config::EndpointSeed;
use crate::digest::{hex, hmac_sha256};
use crate::message::{BRANCH_COOKIE, ResponseTemplate, SipCallId, Tag};

/// Bytes of the MAC in a token: 80 bits; RFC 3261 section 19.3 requires at least 32.
const TOKEN_BYTES: usize = 10;

pub(super) struct Tokens {
    seed: EndpointSeed,
    generated: u64,
}

impl Tokens {
    pub(super) fn new(seed: EndpointSeed) -> Self {
        Self { seed, generated: 0 }
    }

    fn next(&mut self) -> String {
        self.generated += 1;
        hex(&hmac_sha256(&self.seed.0, &[b"token", &self.generated.to_be_bytes()])[..TOKEN_BYTES])
    }

    pub(super) fn tag(&mut self) -> Tag {
        Tag::new(self.next())
    }

    pub(super) fn branch(&mut self) -> String {
        format!("{BRANCH_COOKIE}{}", self.next())
    }

    pub(super) fn call_id(&mut self) -> SipCallId {
        SipCallId::new(self.next())
    }

    /// A number below a limit, which is not 0.
    pub(super) fn number_below(&mut self, limit: u64) -> u64 {
        self.generated += 1;
        let mac = hmac_sha256(&self.seed.0, &[b"number", &self.generated.to_be_bytes()]);
        mac.iter().take(7).fold(0, |number, byte| number << 8 | u64::from(*byte)) % limit
    }

    pub(super) fn cnonce(&mut self) -> String {
        self.next()
    }

    /// The To tag of a stateless response: the same for every retransmission of a request (RFC 3261 section 8.2.7).
    pub(super) fn stateless_tag(&self, response: &ResponseTemplate) -> String {
        let via = response.top_via().map(ToString::to_string).unwrap_or_default();
        let parts = [b"stateless", response.call_id().as_bytes(), via.as_bytes()];
        hex(&hmac_sha256(&self.seed.0, &parts)[..TOKEN_BYTES])
    }
}
