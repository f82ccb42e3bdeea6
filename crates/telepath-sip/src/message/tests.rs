//! The parser and the writers, with examples and with random input.

use proptest::prelude::*;

use super::*;

const SAMPLES: [&[u8]; 12] = [
    include_bytes!("../../testdata/torture/wsinv.sip"),
    include_bytes!("../../testdata/torture/intmeth.sip"),
    include_bytes!("../../testdata/torture/esc01.sip"),
    include_bytes!("../../testdata/torture/esc02.sip"),
    include_bytes!("../../testdata/torture/longreq.sip"),
    include_bytes!("../../testdata/torture/semiuri.sip"),
    include_bytes!("../../testdata/torture/transports.sip"),
    include_bytes!("../../testdata/torture/unreason.sip"),
    include_bytes!("../../testdata/torture/mpart01.sip"),
    include_bytes!("../../testdata/torture/multi01.sip"),
    include_bytes!("../../testdata/torture/badinv01.sip"),
    include_bytes!("../../testdata/torture/regescrt.sip"),
];

fn request(bytes: &[u8]) -> Box<Request> {
    match parse_datagram(bytes) {
        Ok(Message::Request(request)) => request,
        other => panic!("not a request: {other:?}"),
    }
}

#[test]
fn folded_and_compact_headers_are_parsed() {
    let request = request(SAMPLES[0]);
    assert_eq!(request.method(), &Method::Invite);
    assert_eq!(request.from().display(), Some("Ann \\\""));
    assert_eq!(request.from().tag(), Some("w77"));
    assert_eq!(request.to().tag(), Some("5550001z"));
    assert_eq!(request.cseq().number, 17);
    let vias: Vec<String> = request.vias().iter().map(ToString::to_string).collect();
    assert_eq!(
        vias,
        [
            "SIP/2.0/UDP 198.51.100.7:5080;branch=nocookie1",
            "SIP/2.0/TCP inner.test;branch=z9hG4bKinner",
            "SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKinnermost",
        ]
    );
    assert_eq!(request.contacts()[0].display(), Some("Says \"hi\""));
    assert_eq!(request.contacts()[0].params().value("Q"), Some("0.5"));
    assert_eq!(request.headers().by_name("brandnewheader"), Some("first half second half"));
    assert_eq!(request.headers().by_name("strangeheader"), Some(",;,;,"));
    assert_eq!(request.headers().first(KnownHeader::Subject), Some(""));
    assert!(request.session_description().is_some());
}

#[test]
fn percent_escapes_are_decoded_only_in_the_user_part() {
    let request = request(SAMPLES[2]);
    assert_eq!(request.uri().to_string(), "sip:sips%3Adesk%40callee.test@gate.test");
    assert_eq!(request.uri().user().as_deref(), Some("sips:desk@callee.test"));
    assert_eq!(request.to().uri().user().as_deref(), Some("desk"));
    assert_eq!(request.from().uri().user().as_deref(), Some("has blank"));
}

#[test]
fn unknown_methods_and_headers_are_preserved() {
    let request = request(SAMPLES[1]);
    assert_eq!(request.method().as_str(), "%odd.Method-77_~'`+*!");
    assert_eq!(request.to().display(), Some("ESC:\u{1b} NUL:\0 DEL:\u{7f}"));
    assert_eq!(request.headers().by_name("ODD-header.%*+_`'~"), Some("\u{feff}電話"));
}

#[test]
fn text_that_is_not_utf_8_is_accepted_wherever_people_are_named() {
    let bytes = b"INVITE sip:b\xfcro@h\xf4te.test;x=\xe9 SIP/2.0\r\nVia: SIP/2.0/UDP h\xf4te.test;branch=z9hG4bK1;\xe9=\xe9\r\n\
        From: \"Jos\xe9\" <sip:jos\xe9:\xe9@192.0.2.1>;tag=\xe9\r\nTo: Jos\xe9 <sip:%E9t%C3%A9@192.0.2.1>\r\n\
        Contact: Jos\xe9 <sip:jos\xe9@192.0.2.1>\r\nCall-ID: \xe9\r\nCSeq: 1 INVITE\r\nSubject: caf\xe9\r\n\r\n";
    let request = request(bytes);
    assert_eq!(request.uri().user().as_deref(), Some("büro"));
    assert_eq!(request.from().uri().user().as_deref(), Some("josé"));
    assert_eq!(
        request.to().uri().user().as_deref(),
        Some("\u{fffd}té"),
        "an escaped byte is UTF-8 or nothing"
    );
    let subject = request.headers().readable(&KnownHeader::Subject.into()).next();
    assert_eq!(subject.as_deref(), Some("café"));
    let written = request.to_bytes();
    let head = b"INVITE sip:b\xfcro@h\xf4te.test;x=\xe9 SIP/2.0\r\nVia: SIP/2.0/UDP h\xf4te.test;branch=z9hG4bK1;\xe9=\xe9\r\n";
    assert!(written.starts_with(head), "the bytes on the wire are those of the peer");
    assert_eq!(SipUri::new(Some("josé"), HostPort::parse("a.test").unwrap()), None, "we send no such user");
}

#[test]
fn valid_uris_round_trip_and_invalid_uris_are_refused() {
    for text in [
        "sip:a@b.test",
        "sips:a:pw@192.0.2.1:5061;transport=tls;lr",
        "sip:[2001:db8::1]:5080",
        "sip:%00@b.test?Subject=x&Priority=y",
        "tel:+49-30-1234;phone-context=b.test",
        "tel:*21#",
        "urn:isbn:1",
    ] {
        assert_eq!(Uri::parse(text).map(|uri| uri.to_string()).as_deref(), Some(text));
    }
    for text in [
        "sip:",
        "sip:@b",
        "sip:a@",
        "sip:a b@c",
        "sip:a@b:99999",
        "sip:a@b:",
        "sip:[::g]",
        "sip:a@b@c",
        "tel:",
        "tel:x",
        ":x",
        "1a:x",
        "sip:a@b;;",
        "sip:a@b;=x",
        "<sip:a@b>",
        "sip:a@b?",
    ] {
        assert_eq!(Uri::parse(text), None, "{text}");
    }
    let uri = Uri::parse("SIP:a@HOST.test:5070").unwrap();
    assert_eq!(uri.as_sip().unwrap().host_port().to_string(), "host.test:5070");
}

#[test]
fn header_count_and_message_length_are_limited() {
    let many = "X: y\r\n".repeat(MAX_HEADERS + 1);
    let text = format!(
        "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nCSeq: 1 OPTIONS\r\nCall-ID: 1\r\nFrom: sip:a\r\nTo: sip:a\r\n{many}\r\n"
    );
    match parse_datagram(text.as_bytes()) {
        Err(ParseError::Malformed(bad)) => assert_eq!(bad.error(), SyntaxError::TooManyHeaders),
        other => panic!("{other:?}"),
    }
    let long = vec![b'x'; MAX_MESSAGE_BYTES + 1];
    assert_eq!(parse_datagram(&long), Err(ParseError::Dropped(DropReason::TooLong)));
    assert_eq!(parse_datagram(b"\r\n\r\n"), Err(ParseError::Dropped(DropReason::KeepAlive)));
}

#[test]
fn a_bare_cr_in_a_value_does_not_inject_a_header() {
    let text = "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nCSeq: 1 OPTIONS\r\nCall-ID: 1\r\nFrom: sip:a\r\nTo: sip:a\r\nX: y\rEvil: z\r\n\r\n";
    let written = request(text.as_bytes()).to_bytes();
    assert!(!written.windows(6).any(|w| w == b"\rEvil:"));
    round_trip(text.replace("X: y\r", "X: \r y").as_bytes());
}

/// Mutates a sample: changes, inserts and removes bytes, truncates it, and appends the tail of another sample.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..5), 0..12);
    (0..SAMPLES.len(), 0..SAMPLES.len(), any::<prop::sample::Index>(), edits).prop_map(
        |(first, second, cut, edits)| {
            let mut bytes = SAMPLES[first].to_vec();
            for (at, byte, kind) in edits {
                if bytes.is_empty() {
                    break;
                }
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, b";,<>\"\\\r\n %:@?="[usize::from(byte) % 14]),
                    2 => drop(bytes.remove(at)),
                    3 => bytes.truncate(at),
                    _ => {
                        let tail = SAMPLES[second];
                        bytes.truncate(at);
                        bytes.extend_from_slice(&tail[cut.index(tail.len())..]);
                    }
                }
            }
            bytes
        },
    )
}

fn round_trip(bytes: &[u8]) {
    let Ok(first) = parse_datagram(bytes) else { return };
    let written = first.to_bytes();
    let second =
        parse_datagram(&written).unwrap_or_else(|e| panic!("{e:?}: {}", String::from_utf8_lossy(&written)));
    assert_eq!(written, second.to_bytes());
    let again = parse_datagram(&second.to_bytes()).unwrap();
    assert_eq!(second, again);
}

#[test]
fn every_valid_sample_round_trips() {
    for sample in SAMPLES {
        round_trip(sample);
    }
    assert!(SAMPLES.iter().filter(|sample| parse_datagram(sample).is_ok()).count() >= 10);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(4_000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_messages_never_panic_and_valid_ones_round_trip(bytes in mutated()) {
        round_trip(&bytes);
        let _text = crate::redact(&bytes);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        round_trip(&bytes);
        let _text = crate::redact(&bytes);
    }

    #[test]
    fn random_header_values_never_panic(value in "[ -~\u{0}\u{e9}]{0,60}") {
        let _parsed = (NameAddr::parse(&value), Via::parse(&value), Uri::parse(&value), CSeq::parse(&value));
    }
}
