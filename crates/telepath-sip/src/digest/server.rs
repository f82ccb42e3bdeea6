//! The server side of digest authentication (RFC 7616 section 3.6): creates challenges and verifies credentials. An unknown
//! user is verified against a random HA1, so that neither the response nor its timing tells whether the user exists.

use std::fmt;
use std::net::IpAddr;
use std::num::Wrapping;

use subtle::ConstantTimeEq;

use super::nonce::{NonceCountUse, NonceTable, ValidNonce};
use super::{
    Algorithm, Challenge, DigestParams, EpochSeconds, Ha1Pair, NonceSecret, Qop, Realm, digest_response,
    quoted,
};
use crate::message::{Headers, KnownHeader, Method, Request, TelephoneSubscriber, Uri};

/// The configuration of a [`DigestServer`].
#[derive(Clone, Debug)]
pub struct DigestConfig {
    /// The realm of challenges.
    pub realm: Realm,
    /// The lifetime of a nonce in seconds.
    pub nonce_lifetime_seconds: u64,
    /// The number of nonces whose used counts are remembered.
    pub max_nonces: usize,
    /// The algorithms of challenges.
    pub algorithms: DigestAlgorithms,
}

/// The algorithms that a server offers, one challenge each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DigestAlgorithms {
    /// MD5, then SHA-256. RFC 8760 section 2.3 asks for the opposite order, but older peers read only the first challenge and
    /// give up if they do not support its algorithm.
    #[default]
    Both,
    /// MD5 alone, for peers that give up when a challenge names an algorithm that they do not support.
    Md5,
    /// SHA-256 alone.
    Sha256,
}

impl DigestAlgorithms {
    fn offered(self) -> &'static [Algorithm] {
        match self {
            Self::Both => &[Algorithm::Md5, Algorithm::Sha256],
            Self::Md5 => &[Algorithm::Md5],
            Self::Sha256 => &[Algorithm::Sha256],
        }
    }
}

/// Creates challenges and verifies credentials.
pub struct DigestServer {
    config: DigestConfig,
    secret: NonceSecret,
    /// Stands in our nonces, because only we know their used counts.
    issuer: u32,
    /// The serial number of the next nonce. It wraps around long after the nonces with the same numbers have expired.
    serial: Wrapping<u32>,
    counts: NonceTable,
}

/// The Authorization header of a request, for the realm of a [`DigestServer`].
#[derive(Debug)]
pub enum AuthorizationHeader {
    /// No digest credentials for this realm with an algorithm that was offered.
    Absent,
    /// Malformed digest credentials, to be answered with 400.
    Malformed,
    /// Credentials to verify.
    Credentials(Box<Credentials>),
}

/// Digest credentials. Debug output shows only the user name.
pub struct Credentials {
    username: String,
    nonce: String,
    uri: String,
    algorithm: Algorithm,
    response: String,
    qop: Option<CredentialsQop>,
}

struct CredentialsQop {
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
    /// The claimed user name, for looking up the HA1.
    pub fn username(&self) -> &str {
        &self.username
    }
}

/// The result of verifying credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestVerification {
    /// The sender knows the password.
    Valid,
    /// The sender knows the password but the nonce has expired or is another server's: challenge again with `stale=true`.
    Stale,
    /// Rejected: challenge again.
    Rejected(DigestRejectReason),
}

/// Why credentials were rejected. For the log; the peer must not learn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestRejectReason {
    /// The user does not exist.
    UnknownUser,
    /// The digest response is wrong.
    WrongResponse,
    /// The nonce was not issued with our secret to this source.
    ForeignNonce,
    /// The nonce count was used before.
    Replayed,
    /// The `uri` parameter names another user than the Request-URI. A new challenge would not help.
    UriMismatch,
}

impl DigestServer {
    /// Creates a server; `issuer` is random, different for every start of every server with the same secret.
    pub fn new(config: DigestConfig, secret: NonceSecret, issuer: u32) -> Self {
        let counts = NonceTable::new(config.max_nonces);
        Self { config, secret, issuer, serial: Wrapping(0), counts }
    }

    /// Creates the challenges of a 401 to `source`, one for each algorithm, with the same nonce.
    pub fn challenge(&mut self, stale: bool, source: IpAddr, now: EpochSeconds) -> Vec<Challenge> {
        self.serial += 1;
        let nonce = ValidNonce::new(now, self.issuer, self.serial.0).to_text(source, &self.secret);
        let realm = quoted("realm", self.config.realm.as_str());
        let offered = self.config.algorithms.offered().iter();
        offered
            .map(|algorithm| {
                let stale = if stale { ", stale=true" } else { "" };
                let (nonce, name) = (quoted("nonce", &nonce), algorithm.name());
                Challenge(format!("Digest {realm}, {nonce}, qop=\"auth\", algorithm={name}{stale}"))
            })
            .collect()
    }

    /// Parses the credentials for this realm among the headers of a request.
    pub fn read_authorization(&self, headers: &Headers) -> AuthorizationHeader {
        let digests = headers.all(KnownHeader::Authorization).filter(|value| {
            value.get(..7).is_some_and(|scheme| scheme.trim_end().eq_ignore_ascii_case("Digest"))
        });
        for value in digests {
            let Some(params) = DigestParams::parse(value) else { return AuthorizationHeader::Malformed };
            if params.get("realm") != Some(self.config.realm.as_str()) {
                continue;
            }
            let offered = self.config.algorithms.offered();
            let algorithm = Algorithm::parse(params.get("algorithm")).filter(|found| offered.contains(found));
            let Some(algorithm) = algorithm else { continue };
            return Credentials::parse(&params, algorithm).map_or(AuthorizationHeader::Malformed, |found| {
                AuthorizationHeader::Credentials(Box::new(found))
            });
        }
        AuthorizationHeader::Absent
    }

    /// Whether the credentials are for a nonce that we issued to `source` and that has not expired. Their sender has
    /// received our challenge, so its address is not forged.
    pub fn has_live_nonce(&self, credentials: &Credentials, source: IpAddr, now: EpochSeconds) -> bool {
        ValidNonce::parse(&credentials.nonce, source, &self.secret)
            .is_some_and(|nonce| self.is_live(nonce, now))
    }

    fn is_live(&self, nonce: ValidNonce, now: EpochSeconds) -> bool {
        now.0.checked_sub(nonce.issued.0).is_some_and(|age| age < self.config.nonce_lifetime_seconds)
    }

    /// Verifies credentials from `source`; `ha1` is `None` if the user does not exist.
    ///
    /// Only valid credentials use up a nonce count, so nobody can invalidate the nonce of another client.
    pub fn verify(
        &mut self,
        credentials: &Credentials,
        request: &Request,
        source: IpAddr,
        ha1: Option<&Ha1Pair>,
        now: EpochSeconds,
    ) -> DigestVerification {
        self.verify_parts(credentials, (request.method(), request.uri()), source, ha1, now)
    }

    /// The same for the method and Request-URI of a request that is not well-formed otherwise.
    pub fn verify_parts(
        &mut self,
        credentials: &Credentials,
        (method, uri): (&Method, &Uri),
        source: IpAddr,
        ha1: Option<&Ha1Pair>,
        now: EpochSeconds,
    ) -> DigestVerification {
        self.counts.expire(EpochSeconds(now.0.saturating_sub(self.config.nonce_lifetime_seconds)));
        let decoy = self.decoy(&credentials.username);
        let key = ha1.unwrap_or(&decoy).pick(credentials.algorithm);
        let qop = credentials.qop.as_ref().map(|qop| Qop { nc: &qop.nc, cnonce: &qop.cnonce });
        let expected = digest_response(key, &credentials.nonce, qop, method, &credentials.uri);
        let correct = bool::from(expected.as_bytes().ct_eq(credentials.response.as_bytes()));
        let Some(nonce) = ValidNonce::parse(&credentials.nonce, source, &self.secret) else {
            return DigestVerification::Rejected(DigestRejectReason::ForeignNonce);
        };
        if ha1.is_none() {
            return DigestVerification::Rejected(DigestRejectReason::UnknownUser);
        }
        if !correct {
            return DigestVerification::Rejected(DigestRejectReason::WrongResponse);
        }
        if !uri_matches(&credentials.uri, uri) {
            return DigestVerification::Rejected(DigestRejectReason::UriMismatch);
        }
        // The nonce of another server has been answered correctly, but only that server knows whether it was before.
        if !self.is_live(nonce, now) || nonce.issuer != self.issuer {
            return DigestVerification::Stale;
        }
        // Without qop there is no nonce count, so the nonce is valid once.
        let count = credentials.qop.as_ref().map_or(u32::MAX, |qop| qop.count);
        match (self.counts.use_count(nonce, count), &credentials.qop) {
            (NonceCountUse::Fresh, _) => DigestVerification::Valid,
            (NonceCountUse::Evicted, _) | (NonceCountUse::Replayed, None) => DigestVerification::Stale,
            (NonceCountUse::Replayed, Some(_)) => DigestVerification::Rejected(DigestRejectReason::Replayed),
        }
    }

    /// The number of nonces whose used counts are remembered.
    #[cfg(test)]
    pub(super) fn remembered_nonces(&self) -> usize {
        self.counts.len()
    }

    /// A deterministic HA1 that no password has, for unknown users.
    fn decoy(&self, username: &str) -> Ha1Pair {
        let sha256 = self.secret.mac("decoy", username);
        let mut md5 = [0; 16];
        md5.copy_from_slice(&sha256[..16]);
        Ha1Pair::new(md5, sha256)
    }
}

impl Credentials {
    fn parse(params: &DigestParams, algorithm: Algorithm) -> Option<Self> {
        let owned = |name| params.get(name).map(str::to_owned);
        let qop = match params.get("qop") {
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                let nc =
                    owned("nc").filter(|nc| nc.len() == 8 && nc.bytes().all(|b| b.is_ascii_hexdigit()))?;
                let count = u32::from_str_radix(&nc, 16).ok()?;
                Some(CredentialsQop { nc, count, cnonce: owned("cnonce")? })
            }
            // Clients of RFC 2069 use MD5 without qop; SHA-256 requires qop.
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

/// Whether the URIs name the same user. Session border controllers rewrite host, port and parameters of the Request-URI behind
/// the client, and the spelling of numbers; some clients send only the address of the server. The nonce count, not the URI,
/// prevents replays.
pub(super) fn uri_matches(presented: &str, requested: &Uri) -> bool {
    // Some clients send the bare number.
    let presented = Uri::parse(presented).or_else(|| Uri::parse(&format!("tel:{presented}")));
    let Some(presented) = presented else { return false };
    if presented == *requested {
        return true;
    }
    match [&presented, requested].map(TelephoneSubscriber::of) {
        [Some(presented), Some(requested)] => {
            let numbers = requested.global_numbers();
            let same_number = presented.global_numbers().iter().any(|number| numbers.contains(number));
            same_number || presented.name() == requested.name()
        }
        [None, _] | [_, None] => true,
    }
}
