//! The published OpenAPI document: compressed for clients that accept it, and revalidated by entity tag.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::OnceLock;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

/// The document in its two encodings.
#[derive(Debug)]
pub(crate) struct Document {
    json: Bytes,
    /// The digest of the document, from which the entity tags of both encodings are made.
    digest: String,
    /// Compressed when it is requested first.
    compressed: OnceLock<Bytes>,
}

impl Document {
    pub(crate) fn new(json: String) -> Self {
        let mut digest = String::new();
        for byte in Sha256::digest(&json).iter().take(16) {
            // Writing to a string cannot fail.
            let _ = write!(digest, "{byte:02x}");
        }
        Self { json: Bytes::from(json), digest, compressed: OnceLock::new() }
    }

    /// The response to a request with these headers.
    pub(crate) fn respond(&self, request: &HeaderMap) -> Response {
        let gzip = accepts_gzip(request);
        // Two representations of one resource have different strong tags (RFC 9110 section 8.8.3.3).
        let tag = if gzip { format!("\"{}-gzip\"", self.digest) } else { format!("\"{}\"", self.digest) };
        let is_current = matches_tag(request, &tag);
        let mut response = Response::new(match (is_current, gzip) {
            (true, _) => Body::empty(),
            (false, true) => Body::from(self.compressed()),
            (false, false) => Body::from(self.json.clone()),
        });
        let headers = response.headers_mut();
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(ETAG, tag);
        }
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if is_current {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    fn compressed(&self) -> Bytes {
        let compress = || {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            // Writing to memory cannot fail.
            let _ = encoder.write_all(&self.json);
            Bytes::from(encoder.finish().unwrap_or_default())
        };
        self.compressed.get_or_init(compress).clone()
    }
}

/// Whether the client accepts gzip (RFC 9110 section 12.5.3). `*` alone is not enough to send it.
fn accepts_gzip(request: &HeaderMap) -> bool {
    let fields = request.get_all(ACCEPT_ENCODING).iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let is_refused = weight.is_some_and(|weight| weight.parse().is_ok_and(|weight: f32| weight <= 0.0));
        (coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip")) && !is_refused
    })
}

/// Whether `If-None-Match` names the tag, compared weakly (RFC 9110 section 13.1.2).
fn matches_tag(request: &HeaderMap, tag: &str) -> bool {
    let fields = request.get_all(IF_NONE_MATCH).iter().filter_map(|field| field.to_str().ok());
    let mut known = fields.flat_map(|field| field.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use http_body_util::BodyExt as _;

    use super::*;

    async fn get(document: &Document, lines: &[(&'static str, &str)]) -> (u16, HeaderMap, Bytes) {
        let request =
            lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let (parts, body) = document.respond(&request).into_parts();
        (parts.status.as_u16(), parts.headers, body.collect().await.unwrap().to_bytes())
    }

    fn document() -> Document {
        Document::new("{\"openapi\": \"3.1.0\"}".repeat(1000))
    }

    #[tokio::test]
    async fn the_document_is_compressed_for_clients_that_accept_gzip() {
        let document = document();
        for accept in ["gzip", "br, GZIP;q=0.5", "deflate, gzip;q=1.0, *;q=0"] {
            let (status, headers, body) = get(&document, &[("accept-encoding", accept)]).await;
            assert_eq!(
                (status, &headers["content-encoding"]),
                (200, &HeaderValue::from_static("gzip")),
                "{accept}"
            );
            let mut text = String::new();
            GzDecoder::new(body.as_ref()).read_to_string(&mut text).unwrap();
            assert!(text.as_bytes() == document.json && body.len() < document.json.len() / 10);
        }
        for accept in ["", "identity", "gzip;q=0", "gzip; q=0.000", "br", "*"] {
            let (status, headers, body) = get(&document, &[("accept-encoding", accept)]).await;
            assert!(status == 200 && !headers.contains_key("content-encoding"), "{accept}");
            assert_eq!(
                (body, &headers["vary"]),
                (document.json.clone(), &HeaderValue::from_static("Accept-Encoding"))
            );
        }
    }

    #[tokio::test]
    async fn a_current_copy_is_answered_with_304() {
        let document = document();
        let (_, plain, _) = get(&document, &[]).await;
        let (_, gzip, _) = get(&document, &[("accept-encoding", "gzip")]).await;
        let tag = plain["etag"].to_str().unwrap();
        assert_ne!(plain["etag"], gzip["etag"], "each encoding has its own tag");
        for known in [tag.to_owned(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let (status, headers, body) = get(&document, &[("if-none-match", &known)]).await;
            assert_eq!((status, body.len(), &headers["etag"]), (304, 0, &plain["etag"]), "{known}");
        }
        for stale in ["\"other\"", gzip["etag"].to_str().unwrap()] {
            assert_eq!(get(&document, &[("if-none-match", stale)]).await.0, 200, "{stale}");
        }
        assert_ne!(Document::new("{}".to_owned()).digest, document.digest);
    }
}
