//! Why a request is refused before its handler runs, as a label for the metrics.

/// Why authentication, authorization or admission refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotHttps,
    Missing,
    Malformed,
    Unknown,
    RevokedOrExpired,
    Address,
    Scope,
    KeyLimit,
    Quota,
    AddressLimit,
}

impl Refusal {
    pub(crate) const ALL: [Refusal; 10] = [
        Refusal::NotHttps,
        Refusal::Missing,
        Refusal::Malformed,
        Refusal::Unknown,
        Refusal::RevokedOrExpired,
        Refusal::Address,
        Refusal::Scope,
        Refusal::KeyLimit,
        Refusal::Quota,
        Refusal::AddressLimit,
    ];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Refusal::NotHttps => "not_https",
            Refusal::Missing => "missing_key",
            Refusal::Malformed => "malformed_key",
            Refusal::Unknown => "unknown_key",
            Refusal::RevokedOrExpired => "revoked_or_expired_key",
            Refusal::Address => "address_not_allowed",
            Refusal::Scope => "insufficient_scope",
            Refusal::KeyLimit => "key_rate_limit",
            Refusal::Quota => "key_quota",
            Refusal::AddressLimit => "address_rate_limit",
        }
    }
}
