use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::super::{Message, parse_stream_message};
use super::*;

fn message(head: &str, body: &str) -> String {
    format!(
        "{head}\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn options(body: &str) -> String {
    message("OPTIONS sip:desk@192.0.2.20 SIP/2.0", body)
}

/// Everything that a stream contains, pushed at once.
fn items(stream: &[u8]) -> Result<Vec<StreamItem>, FramingError> {
    let mut framer = StreamFramer::default();
    framer.push(stream);
    drain(&mut framer)
}

fn drain(framer: &mut StreamFramer) -> Result<Vec<StreamItem>, FramingError> {
    let mut items = Vec::new();
    while let Some(item) = framer.poll()? {
        items.push(item);
    }
    Ok(items)
}

fn reason(stream: &str) -> FramingReason {
    items(stream.as_bytes()).unwrap_err().reason
}

fn item(text: &str) -> StreamItem {
    StreamItem::Message(text.as_bytes().to_vec())
}

#[test]
fn several_messages_in_one_read_are_split_by_content_length() {
    let (first, second) = (options("v=0\r\n"), message("SIP/2.0 200 OK", ""));
    let stream = format!("{first}{second}{first}");
    assert_eq!(items(stream.as_bytes()).unwrap(), [item(&first), item(&second), item(&first)]);
}

#[test]
fn a_message_may_arrive_in_single_bytes() {
    let text = options("v=0\r\n\r\nnot a head: \r\n\r\n");
    let mut framer = StreamFramer::default();
    for (position, byte) in text.bytes().enumerate() {
        framer.push(&[byte]);
        let expected = (position + 1 == text.len()).then(|| item(&text));
        assert_eq!(framer.poll().unwrap(), expected, "after {position} bytes");
        assert_eq!(framer.is_partial(), position + 1 < text.len());
    }
}

#[test]
fn two_line_ends_between_messages_are_a_ping_and_single_ones_are_skipped() {
    let text = options("");
    let stream = format!("\r\n{text}\r\n\r\n\r\n{text}\r\n\r\n");
    assert_eq!(
        items(stream.as_bytes()).unwrap(),
        [item(&text), StreamItem::Ping, item(&text), StreamItem::Ping]
    );
    let mut framer = StreamFramer::default();
    for (bytes, expected) in [("\r\n", None), ("\r", None), ("\n", Some(StreamItem::Ping)), ("\r\n", None)] {
        framer.push(bytes.as_bytes());
        assert!(!framer.is_partial());
        assert_eq!(framer.poll().unwrap(), expected);
    }
}

#[test]
fn content_length_may_be_compact_folded_and_in_any_case() {
    for header in ["l: 3", "L:3", "CONTENT-LENGTH : 3", "Content-Length:\r\n 3", "content-length: 003"] {
        let text = format!("BYE sip:a@b SIP/2.0\r\n{header}\r\nX: 1\r\n\r\nabc");
        assert_eq!(items(text.as_bytes()).unwrap(), [item(&text)], "{header}");
    }
}

#[test]
fn bare_line_feeds_end_lines_as_in_datagrams() {
    let text = "BYE sip:a@b SIP/2.0\nContent-Length: 2\n\nok";
    assert_eq!(items(text.as_bytes()).unwrap(), [item(text)]);
}

#[test]
fn a_head_without_a_usable_content_length_is_returned_for_its_400() {
    for (header, expected) in [
        ("X: 1", FramingReason::NoContentLength),
        ("Content-Length: x", FramingReason::MalformedContentLength),
        ("Content-Length: -1", FramingReason::MalformedContentLength),
        ("Content-Length: 99999999999999999999999", FramingReason::MalformedContentLength),
        ("Content-Length: 5\r\nl: 6", FramingReason::MalformedContentLength),
        ("Content-Length: 65536", FramingReason::BodyTooLong),
        ("Content-Length: 18446744073709551615", FramingReason::BodyTooLong),
    ] {
        let head = format!("OPTIONS sip:a@b SIP/2.0\r\n{header}\r\n\r\n");
        let error = items(format!("{head}rest").as_bytes()).unwrap_err();
        assert_eq!((error.reason, error.head), (expected, Some(head.into_bytes())), "{header}");
    }
}

#[test]
fn what_is_not_sip_is_refused_at_its_first_line() {
    for garbage in
        ["GET / HTTP/1.1\r\n", "\u{16}\u{3}\u{1}", " OPTIONS sip:a@b SIP/2.0", "hello\r\n", "\r\n\r:"]
    {
        assert_eq!(reason(garbage), FramingReason::NotSip, "{garbage:?}");
    }
}

#[test]
fn the_head_is_bounded() {
    let endless = format!("OPTIONS sip:{}", "a".repeat(MAX_HEAD_BYTES));
    assert_eq!(reason(&endless), FramingReason::HeadTooLong);
    let many = format!("OPTIONS sip:a@b SIP/2.0\r\n{}\r\n", "X: y\r\n".repeat(MAX_HEAD_BYTES / 6));
    assert_eq!(reason(&many), FramingReason::HeadTooLong);
}

#[test]
fn a_failed_stream_stays_failed() {
    let mut framer = StreamFramer::default();
    framer.push(b"garbage\r\n");
    let first = framer.poll().unwrap_err();
    framer.push(options("").as_bytes());
    assert_eq!(framer.poll().unwrap_err(), first);
}

/// A message whose body may contain anything, also what looks like the end of a head.
fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        "(\r\n|\n|SIP/2.0 200 OK|Content-Length: 1){0,20}".prop_map(String::into_bytes),
    ];
    let line_end = prop_oneof![Just("\r\n"), Just("\n")];
    let before =
        prop_oneof![Just(""), Just("X: y\r\n"), Just("Subject: a\r\n\tb\r\n"), Just("m: <sip:a@b>\n")];
    (body, line_end, before, any::<bool>()).prop_map(|(body, end, before, compact)| {
        let name = if compact { "l" } else { "Content-Length" };
        let head = format!("INFO sip:a@b SIP/2.0{end}{before}{name}: {}{end}{end}", body.len());
        [head.into_bytes(), body].concat()
    })
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn a_stream_yields_the_same_messages_wherever_it_is_split(
        messages in proptest::collection::vec(any_message(), 1..6),
        splits in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let stream = messages.concat();
        let mut cuts: Vec<usize> = splits.iter().map(|split| split.index(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let mut framer = StreamFramer::default();
        let mut found = Vec::new();
        for cut in cuts.windows(2) {
            framer.push(&stream[cut[0]..cut[1]]);
            found.extend(drain(&mut framer).unwrap());
        }
        let expected: Vec<StreamItem> = messages.into_iter().map(StreamItem::Message).collect();
        prop_assert_eq!(found, expected);
        prop_assert!(!framer.is_partial());
    }

    #[test]
    fn mutated_streams_are_read_in_bounds_and_independently_of_their_splits(
        messages in proptest::collection::vec(any_message(), 1..4),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        chunk in 1_usize..64,
    ) {
        let mut stream = messages.concat();
        for (at, byte) in changes {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        let collect = |chunk: usize| {
            let mut framer = StreamFramer::default();
            let mut found = Vec::new();
            for bytes in stream.chunks(chunk) {
                framer.push(bytes);
                loop {
                    match framer.poll() {
                        Ok(Some(item)) => found.push(item),
                        Ok(None) => break,
                        Err(error) => return (found, Some(error.reason)),
                    }
                }
            }
            (found, None)
        };
        let (found, error) = collect(chunk);
        prop_assert_eq!(&(found.clone(), error), &collect(stream.len()));
        let total: usize = found.iter().map(|item| match item {
            StreamItem::Message(message) => message.len(),
            StreamItem::Ping => 4,
        }).sum();
        prop_assert!(total <= stream.len());
        for item in found {
            // The parser sees the same body as the framer, so no message can hide in another one.
            if let StreamItem::Message(message) = item
                && let Ok(parsed) = parse_stream_message(&message)
            {
                let body = match &parsed {
                    Message::Request(request) => request.body(),
                    Message::Response(response) => response.body(),
                };
                prop_assert!(message.ends_with(body));
                let head = message.len() - body.len();
                prop_assert!(message[..head].ends_with(b"\n"));
            }
        }
    }
}
