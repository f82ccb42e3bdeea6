//! What the INVITE says, for the record of its call and for the agent. The headers are bounded in number and length.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use telepath_core::call::{MAX_SIP_HEADERS, SipFacts};
use telepath_sip::message::{HeaderName, Headers, KnownHeader};

/// How much of a carrier's `User-Agent` is recorded, in characters.
const MAX_CARRIER: usize = 64;

/// The carrier for the call record: its `User-Agent`, otherwise its address.
pub(super) fn carrier(invite: &Headers, source: SocketAddr) -> String {
    let product = readable(invite, KnownHeader::UserAgent);
    let product = product.map(|text| text.chars().take(MAX_CARRIER).collect::<String>());
    product.filter(|text| !text.is_empty()).unwrap_or_else(|| source.ip().to_canonical().to_string())
}

pub(super) fn sip_facts(invite: &Headers, source: SocketAddr) -> SipFacts {
    SipFacts {
        call_id: readable(invite, KnownHeader::CallId).map(|text| SipFacts::bounded(&text)),
        source: Some(SocketAddr::new(source.ip().to_canonical(), source.port()).to_string()),
        headers: chosen_headers(invite),
        ..SipFacts::default()
    }
}

fn readable(invite: &Headers, name: KnownHeader) -> Option<String> {
    invite.readable(&name.into()).next()
}

/// P-Asserted-Identity (RFC 3325), Diversion (RFC 5806) and the `X-` headers. Several lines of one header are joined.
fn chosen_headers(invite: &Headers) -> BTreeMap<String, String> {
    let mut names: Vec<HeaderName> =
        vec![KnownHeader::PAssertedIdentity.into(), KnownHeader::Diversion.into()];
    for (name, _) in invite.iter() {
        let chosen = name.as_str().get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("X-"));
        if chosen && !names.contains(name) {
            names.push(name.clone());
        }
    }
    let values = names.into_iter().filter_map(|name| {
        let values: Vec<String> = invite.readable(&name).collect();
        let text = SipFacts::bounded(&values.join(", "));
        (!text.is_empty()).then(|| (SipFacts::bounded(name.as_str()), text))
    });
    values.take(MAX_SIP_HEADERS).collect()
}

#[cfg(test)]
mod tests {
    use telepath_core::call::MAX_SIP_TEXT;
    use telepath_sip::message::{Message, parse_datagram};

    use super::*;

    fn facts(headers: &str) -> SipFacts {
        let text = format!(
            "INVITE sip:desk@callee.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
             From: <sip:a@b.test>;tag=1\r\nTo: <sip:desk@callee.test>\r\nCall-ID: abc@192.0.2.1\r\nCSeq: 1 INVITE\r\n\
             {headers}\r\n"
        );
        let latin_1: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        match parse_datagram(&latin_1).unwrap() {
            Message::Request(request) => {
                sip_facts(request.headers(), "[::ffff:192.0.2.1]:5060".parse().unwrap())
            }
            Message::Response(_) => panic!("a request"),
        }
    }

    #[test]
    fn the_asserted_identity_diversion_and_x_headers_are_kept() {
        let facts = facts(
            "P-Asserted-Identity: \"Jos\u{e9}\" <sip:+15550100001@carrier.test>\r\nP-Asserted-Identity: <tel:+15550100001>\r\n\
             Diversion: <sip:+15550100009@carrier.test>;reason=no-answer\r\nx-queue: sales\r\nX-Empty: \r\n\
             Subject: not kept\r\n",
        );
        assert_eq!(
            (facts.call_id.as_deref(), facts.source.as_deref()),
            (Some("abc@192.0.2.1"), Some("192.0.2.1:5060"))
        );
        let expected = [
            ("Diversion", "<sip:+15550100009@carrier.test>;reason=no-answer"),
            ("P-Asserted-Identity", "\"José\" <sip:+15550100001@carrier.test>, <tel:+15550100001>"),
            ("x-queue", "sales"),
        ];
        let kept: Vec<_> =
            facts.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(kept, expected);
    }

    #[test]
    fn headers_are_bounded_in_number_and_length() {
        let many: Vec<String> = (0..40).map(|n| format!("X-{n}: {}\r\n", "v".repeat(1_000))).collect();
        let facts = facts(&many.concat());
        assert_eq!(facts.headers.len(), MAX_SIP_HEADERS);
        assert!(facts.headers.values().all(|value| value.chars().count() == MAX_SIP_TEXT));
    }
}
