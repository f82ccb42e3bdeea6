//! The server side of digest: makes challenges and judges what comes back. An unknown user takes the same way
//! through the same work as a wrong password, against an HA1 nobody can know, so that neither the answer nor
//! its time tells which of the two it was.

use std::fmt;

use subtle::ConstantTimeEq;

use super::hash::hmac_sha256;
use super::nonce::{CountTable, CountUse, KnownNonce};
use super::{
    Algorithm, Challenge, DigestParams, EpochSeconds, Ha1Pair, NonceSecret, Qop, Realm, quoted, response,
};
use crate::message::{DEFAULT_SIP_PORT, KnownHeader, Request, SipUri, Uri};

/// How a [`DigestServer`] behaves.
#[derive(Clone, Debug)]
pub struct DigestConfig {
    /// The realm named in challenges.
    pub realm: Realm,
    /// How long a nonce is good, in seconds.
    pub nonce_lifetime_seconds: u64,
    /// Of how many nonces the used counts are remembered.
    pub max_nonces: usize,
}

/// Challenges requests and judges credentials.
pub struct DigestServer {
    config: DigestConfig,
    secret: NonceSecret,
    salt_seed: [u8; 32],
    issued: u64,
    counts: CountTable,
    offer: [Algorithm; 2],
}

/// What a request brings to prove who sends it.
#[derive(Debug)]
pub enum AuthorizationHeader {
    /// No digest credentials for this realm, or ones of an algorithm that was not offered.
    Absent,
    /// Digest credentials that cannot be read; answered with 400.
    Malformed,
    /// Credentials to be judged.
    Credentials(Box<Credentials>),
}

/// Digest credentials as presented; only the user name shows when they are printed for debugging.
pub struct Credentials {
    username: String,
    nonce: String,
    uri: String,
    algorithm: Algorithm,
    response: String,
    qop: Option<PresentedQop>,
}

struct PresentedQop {
    nc: String,
    count: u32,
    cnonce: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Credentials {
    /// The user name claimed; look its HA1 up under this.
    pub fn username(&self) -> &str {
        &self.username
    }
}

/// The outcome of a judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestVerification {
    /// The sender knows the password.
    Valid,
    /// The sender knows the password but used a nonce that is too old: challenge again with `stale`. Not an
    /// attack.
    Stale,
    /// Refused: challenge again.
    Rejected(DigestRejectReason),
}

/// Why credentials were refused; for the log, never for the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestRejectReason {
    /// There is no such user.
    UnknownUser,
    /// The response does not fit.
    WrongResponse,
    /// The nonce was not made by us.
    ForeignNonce,
    /// The count was used with this nonce before.
    Replayed,
    /// The credentials are for another Request-URI.
    UriMismatch,
}

impl DigestServer {
    /// Makes a server side; `salt_seed` is 32 random bytes that no other node shares.
    pub fn new(config: DigestConfig, secret: NonceSecret, salt_seed: [u8; 32]) -> Self {
        let counts = CountTable::new(config.max_nonces);
        let offer = [Algorithm::Md5, Algorithm::Sha256];
        Self { config, secret, salt_seed, issued: 0, counts, offer }
    }

    /// Offers SHA-256 before MD5, as RFC 8760 section 2.3 wants it.
    ///
    /// This is not the default, because peers that were written before that RFC look at the first challenge
    /// alone and give up when they do not know its algorithm.
    #[must_use]
    pub fn strongest_first(mut self) -> Self {
        self.offer = [Algorithm::Sha256, Algorithm::Md5];
        self
    }

    /// The challenges for one 401: MD5 and SHA-256 over the same nonce.
    pub fn challenge(&mut self, stale: bool, now: EpochSeconds) -> Vec<Challenge> {
        self.issued += 1;
        let salt = hmac_sha256(&self.salt_seed, &[&self.issued.to_be_bytes()]);
        let salt = salt.iter().take(8).fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        let nonce = KnownNonce::new(now, salt).write(&self.secret);
        let realm = quoted("realm", self.config.realm.as_str());
        self.offer
            .into_iter()
            .map(|algorithm| {
                let stale = if stale { ", stale=true" } else { "" };
                let (nonce, name) = (quoted("nonce", &nonce), algorithm.name());
                Challenge(format!("Digest {realm}, {nonce}, qop=\"auth\", algorithm={name}{stale}"))
            })
            .collect()
    }

    /// Reads the credentials a request brings for this realm.
    pub fn read_authorization(&self, request: &Request) -> AuthorizationHeader {
        let digests = request.headers().all(KnownHeader::Authorization).filter(|value| {
            value.get(..7).is_some_and(|scheme| scheme.trim_end().eq_ignore_ascii_case("Digest"))
        });
        for value in digests {
            let Some(params) = DigestParams::parse(value) else { return AuthorizationHeader::Malformed };
            if params.get("realm") != Some(self.config.realm.as_str()) {
                continue;
            }
            let Some(algorithm) = Algorithm::parse(params.get("algorithm")) else { continue };
            return Credentials::read(&params, algorithm).map_or(AuthorizationHeader::Malformed, |found| {
                AuthorizationHeader::Credentials(Box::new(found))
            });
        }
        AuthorizationHeader::Absent
    }

    /// Judges credentials; `ha1` is what is stored for their user, `None` when there is no such user.
    ///
    /// The count is spent only by a right answer, so nobody can use up another's nonce.
    pub fn verify(
        &mut self,
        credentials: &Credentials,
        request: &Request,
        ha1: Option<&Ha1Pair>,
        now: EpochSeconds,
    ) -> DigestVerification {
        self.counts.expire(EpochSeconds(now.0.saturating_sub(self.config.nonce_lifetime_seconds)));
        let decoy = self.decoy(&credentials.username);
        let key = ha1.unwrap_or(&decoy).pick(credentials.algorithm);
        let qop = credentials.qop.as_ref().map(|qop| Qop { nc: &qop.nc, cnonce: &qop.cnonce });
        let expected = response(key, &credentials.nonce, qop, request.method(), &credentials.uri);
        let fits = bool::from(expected.as_bytes().ct_eq(credentials.response.as_bytes()));
        let nonce = KnownNonce::read(&credentials.nonce, &self.secret);
        if ha1.is_none() {
            return DigestVerification::Rejected(DigestRejectReason::UnknownUser);
        }
        if !fits {
            return DigestVerification::Rejected(DigestRejectReason::WrongResponse);
        }
        if !fits_uri(&credentials.uri, request.uri()) {
            return DigestVerification::Rejected(DigestRejectReason::UriMismatch);
        }
        let Some(nonce) = nonce else {
            return DigestVerification::Rejected(DigestRejectReason::ForeignNonce);
        };
        let age = now.0.checked_sub(nonce.issued.0);
        if age.is_none_or(|age| age >= self.config.nonce_lifetime_seconds) {
            return DigestVerification::Stale;
        }
        // Without qop there is no count, so such a nonce serves once.
        let count = credentials.qop.as_ref().map_or(u32::MAX, |qop| qop.count);
        match (self.counts.spend(nonce, count), &credentials.qop) {
            (CountUse::Fresh, _) => DigestVerification::Valid,
            (CountUse::Forgotten, _) | (CountUse::Replayed, None) => DigestVerification::Stale,
            (CountUse::Replayed, Some(_)) => DigestVerification::Rejected(DigestRejectReason::Replayed),
        }
    }

    /// How many nonces the table of used counts holds.
    pub fn remembered_nonces(&self) -> usize {
        self.counts.len()
    }

    fn decoy(&self, username: &str) -> Ha1Pair {
        let sha256 = self.secret.mac("decoy", username);
        let mut md5 = [0; 16];
        md5.copy_from_slice(&sha256[..16]);
        Ha1Pair::new(md5, sha256)
    }
}

impl Credentials {
    fn read(params: &DigestParams, algorithm: Algorithm) -> Option<Self> {
        let owned = |name| params.get(name).map(str::to_owned);
        let qop = match params.get("qop") {
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                let nc =
                    owned("nc").filter(|nc| nc.len() == 8 && nc.bytes().all(|b| b.is_ascii_hexdigit()))?;
                let count = u32::from_str_radix(&nc, 16).ok()?;
                Some(PresentedQop { nc, count, cnonce: owned("cnonce")? })
            }
            // RFC 2069 clients know only MD5; SHA-256 came with qop.
            None if algorithm == Algorithm::Md5 => None,
            Some(_) | None => return None,
        };
        Some(Self {
            username: owned("username")?,
            nonce: owned("nonce")?,
            uri: owned("uri")?,
            algorithm,
            response: owned("response")?.to_ascii_lowercase(),
            qop,
        })
    }
}

/// Equal, or the same host without a user: some widespread clients name only the server they talk to.
fn fits_uri(presented: &str, requested: &Uri) -> bool {
    let Some(presented) = Uri::parse(presented) else { return false };
    if presented == *requested {
        return true;
    }
    match (presented.as_sip(), requested.as_sip()) {
        (Some(presented), Some(requested)) => {
            let port = |uri: &SipUri| uri.host_port().port.unwrap_or(DEFAULT_SIP_PORT);
            presented.user().is_none()
                && presented.host_port().host == requested.host_port().host
                && port(presented) == port(requested)
        }
        (Some(_) | None, _) => false,
    }
}
