//! The credentials of a request. Only the `Authorization` header is read: a key in a query string or a body is not a credential
//! (RFC 6750 section 2.3 is deliberately not implemented).

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use telepath_core::secret::PlainKey;

/// What the `Authorization` header holds.
#[derive(Debug)]
pub(crate) enum Credential {
    /// There is no such header.
    Missing,
    /// There is one, or there are several, and it cannot be a key of ours.
    Malformed,
    /// Text with the form and the checksum of a key.
    Key(PlainKey),
}

impl Credential {
    /// Reads the header. Several of them are refused rather than guessed about.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (None, _) => Credential::Missing,
            (Some(_), Some(_)) => Credential::Malformed,
            (Some(value), None) => Self::parse(value.as_bytes()),
        }
    }

    /// `Bearer` 1*SP key (RFC 6750 section 2.1); the scheme's case does not matter (RFC 9110 section 11.1).
    fn parse(value: &[u8]) -> Self {
        let Some(space) = value.iter().position(|byte| *byte == b' ') else { return Credential::Malformed };
        let (scheme, token) = value.split_at(space);
        if !scheme.eq_ignore_ascii_case(b"bearer") {
            return Credential::Malformed;
        }
        PlainKey::parse(token.trim_ascii()).map_or(Credential::Malformed, Credential::Key)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use telepath_core::entropy::SystemEntropy;
    use telepath_core::secret::KeyMode;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn only_one_bearer_header_with_a_well_formed_key_is_a_credential() {
        let key = PlainKey::generate(KeyMode::Live, &SystemEntropy::default()).unwrap();
        let key = key.reveal();
        let key = key.expose();
        for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
            let one = headers(&[&format!("{scheme} {key}")]);
            assert!(matches!(Credential::of(&one), Credential::Key(_)), "{scheme}");
        }
        assert!(matches!(Credential::of(&headers(&[&format!("Bearer   {key}")])), Credential::Key(_)));
        assert!(matches!(Credential::of(&HeaderMap::new()), Credential::Missing));
        let good = format!("Bearer {key}");
        for bad in [
            vec![""],
            vec!["Bearer"],
            vec!["Bearer "],
            vec![key],
            vec![&format!("Basic {key}")],
            vec![&format!("Bearer {key}x")],
            vec![&format!("Bearer {key} {key}")],
            vec![&good, &good],
        ] {
            assert!(matches!(Credential::of(&headers(&bad)), Credential::Malformed), "{bad:?}");
        }
    }
}
