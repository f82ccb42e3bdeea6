//! Compression of responses (RFC 9110 section 8.4.1.3).

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;

/// Compresses bytes; `None` if that fails.
pub(crate) fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), Compression::default());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

/// Whether `Accept-Encoding` admits gzip (RFC 9110 section 12.5.3).
pub(crate) fn accepts_gzip<'a>(fields: impl Iterator<Item = &'a HeaderValue>) -> bool {
    let codings = fields.filter_map(|field| field.to_str().ok()).flat_map(|field| field.split(','));
    let mut star = false;
    for coding in codings {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0_f32));
        let name = name.trim();
        if name.eq_ignore_ascii_case("gzip") {
            return !refused;
        }
        star |= name == "*" && !refused;
    }
    star
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_when_the_client_accepts_it() {
        let accepts = |text: &'static str| accepts_gzip([HeaderValue::from_static(text)].iter());
        for good in ["gzip", "br, GZIP;q=0.5", "*", "identity, *;q=0.1", "gzip;q=1, br;q=0"] {
            assert!(accepts(good), "{good}");
        }
        for bad in ["", "br", "gzip;q=0", "gzip;q=0.0, *", "identity", "xgzip"] {
            assert!(!accepts(bad), "{bad}");
        }
        assert!(!accepts_gzip([].iter()));
    }
}
