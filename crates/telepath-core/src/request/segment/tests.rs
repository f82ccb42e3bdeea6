use super::*;
use crate::error::ErrorCode;
use crate::request::{RequestFilter, StatusFilter};

fn logged(number: u8) -> Logged<'static> {
    Logged {
        id: RequestId::from_bytes([number; 16]),
        facts: RequestFacts {
            at: Timestamp::from_unix_ms(1_800_000_000_000 + i64::from(number) * 7),
            caller: RequestCaller::Key {
                key: KeyId::from_bytes([number ^ 0x55; 16]),
                secret: SecretMark([number; 8]),
            },
            method: RequestMethod::Patch,
            status: 404,
            address: "203.0.113.7".parse().unwrap(),
            duration_us: 1_234_567,
            admitted: true,
        },
        label: Some("PATCH /v1/trunks/{id}"),
        own_path: Some("/v1/trunks/conn_x"),
        error: Some("TRUNK_NOT_FOUND"),
        user_agent: Some("curl/8"),
        sum: None,
    }
}

/// One entry with everything, one with as little as can be, one sum, and one that is earlier than those before it.
fn examples() -> Vec<Logged<'static>> {
    let full = logged(1);
    let mut bare =
        Logged { label: None, own_path: Some("/v1/x"), error: None, user_agent: None, ..logged(2) };
    bare.facts.admitted = false;
    bare.facts.method = RequestMethod::Other;
    bare.facts.address = "2001:db8::7".parse().unwrap();
    let sum = Logged { id: RequestId::from_bytes([0; 16]), sum: Some(70_000), own_path: None, ..logged(3) };
    let mut early = logged(4);
    early.facts.at = Timestamp::from_unix_ms(5);
    vec![full, bare, sum, early]
}

fn written(entries: &[Logged<'_>]) -> Vec<u8> {
    let mut writer = SegmentWriter::default();
    for entry in entries {
        writer.push(entry);
    }
    writer.finish()
}

#[test]
fn entries_round_trip() {
    let bytes = written(&examples());
    assert_eq!(read(&bytes).unwrap(), examples());
    let mut writer = SegmentWriter::default();
    assert!(writer.is_empty() && writer.first().is_none());
    for entry in &examples() {
        writer.push(entry);
    }
    assert_eq!(writer.first(), Some(Timestamp::from_unix_ms(5)));
    assert_eq!(read(&written(&[])).unwrap(), []);
}

/// The [`examples`] as the last program that wrote version 1 wrote them, in hexadecimal. Never change it: databases hold
/// such segments.
const VERSION_1: &str = "\
    0103155041544348202f76312f7472756e6b732f7b69647d0f5452554e4b5f4e4f545f464f554e44066375726c2f38044a8e\
    c0e285e368010101010101010101010101010101015454545454545454545454545454545401010101010101010102039403\
    87ad4bcb007107112f76312f7472756e6b732f636f6e6e5f78790e0202020202020202020202020202020257575757575757\
    5757575757575757570202020202020202000000940387ad4b20010db8000000000000000000000007052f76312f78460ef0\
    a204565656565656565656565656565656560303030303030303010203940387ad4bcb0071074a9fc0e285e3680404040404\
    0404040404040404040404515151515151515151515151515151510404040404040404010203940387ad4bcb007107112f76\
    312f7472756e6b732f636f6e6e5f78";

#[test]
fn segments_of_version_1_are_still_read() {
    let digit = |digit: u8| u8::try_from(char::from(digit).to_digit(16).unwrap()).unwrap();
    let bytes: Vec<u8> =
        VERSION_1.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
    assert_eq!(bytes[0], VERSION_KEYS_ONLY);
    assert_eq!(read(&bytes).unwrap(), examples());
    for length in 0..bytes.len() {
        assert_eq!(read(&bytes[..length]), Err(Malformed), "{length}");
    }
}

#[test]
fn a_typical_entry_is_small_and_a_full_segment_is_bounded() {
    let mut writer = SegmentWriter::default();
    let mut count = 0;
    while !writer.is_full() {
        let mut entry = logged(u8::try_from(count % 200).unwrap());
        entry.own_path = None;
        writer.push(&entry);
        count += 1;
    }
    let bytes = writer.finish();
    assert!(bytes.len() <= MAX_BYTES);
    assert!(bytes.len() / count <= 64, "{} bytes each", bytes.len() / count);
}

#[test]
fn corrupt_segments_are_rejected_or_read_as_valid_entries() {
    let bytes = written(&examples());
    for length in 0..bytes.len() {
        assert_eq!(read(&bytes[..length]), Err(Malformed), "{length}");
    }
    assert_eq!(read(&[bytes.as_slice(), &[0]].concat()), Err(Malformed));
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << bit;
            // It may be readable, because it has no checksum; it must never panic or ask for much memory.
            if let Ok(entries) = read(&damaged) {
                assert!(entries.len() <= damaged.len());
            }
        }
    }
    let mut unknown = written(&[logged(1)]);
    let at = unknown.windows(16).position(|window| window == [1; 16]).unwrap() + 16;
    assert_eq!(unknown[at], OF_KEY);
    unknown[at] = 2;
    assert_eq!(read(&unknown), Err(Malformed), "an unknown kind of caller");
    for version in [0, 3] {
        assert_eq!(read(&[&[version], &bytes[1..]].concat()), Err(Malformed), "version {version}");
    }
    let huge = [VERSION, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    assert_eq!(read(&huge), Err(Malformed));
}

#[test]
fn a_request_of_a_user_is_found_by_the_user_and_by_no_key() {
    let user = UserId::from_bytes([7; 16]);
    let mut request = logged(1);
    request.facts.caller = RequestCaller::User(user);
    let bytes = written(&[request, logged(2)]);
    let entries = read(&bytes).unwrap();
    assert_eq!(entries, [request, logged(2)]);
    let by_user = |user_id| RequestFilter { user_id: Some(user_id), ..RequestFilter::default() };
    assert!(by_user(user).lets_through(&request));
    assert!(!by_user(UserId::from_bytes([8; 16])).lets_through(&request));
    assert!(!by_user(user).lets_through(&logged(2)));
    let by_key = RequestFilter { key_id: Some(KeyId::from_bytes([7; 16])), ..RequestFilter::default() };
    assert!(!by_key.lets_through(&request));
}

#[test]
fn every_filter_narrows() {
    let request = logged(1);
    assert!(RequestFilter::default().lets_through(&request));
    let at = request.facts.at;
    let fitting = RequestFilter {
        key_id: request.facts.caller.key(),
        secret_id: None,
        user_id: None,
        method: Some(RequestMethod::Patch),
        route: Some("/v1/trunks/{id}".to_owned()),
        path: Some("/v1/trunks/conn_x".to_owned()),
        status: Some(StatusFilter::Class(4)),
        error: Some(ErrorCode::TrunkNotFound),
        network: Some("203.0.113.0/24".parse().unwrap()),
        user_agent: Some("curl".to_owned()),
        id: Some(request.id),
        min_duration_us: Some(1_234_567),
        start: Some(at),
        end: Some(at),
    };
    assert!(fitting.lets_through(&request));
    let ms = std::time::Duration::from_millis(1);
    let changes: [fn(&mut RequestFilter); 11] = [
        |filter| filter.key_id = Some(KeyId::from_bytes([9; 16])),
        |filter| filter.user_id = Some(UserId::from_bytes([9; 16])),
        |filter| filter.method = Some(RequestMethod::Get),
        |filter| filter.route = Some("/v1/trunks".to_owned()),
        |filter| filter.path = Some("/v1/trunks/conn_y".to_owned()),
        |filter| filter.status = Some(StatusFilter::Exactly(403)),
        |filter| filter.error = Some(ErrorCode::KeyNotFound),
        |filter| filter.network = Some("198.51.100.0/24".parse().unwrap()),
        |filter| filter.user_agent = Some("Curl".to_owned()),
        |filter| filter.id = Some(RequestId::from_bytes([9; 16])),
        |filter| filter.min_duration_us = Some(1_234_568),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut narrower = fitting.clone();
        change(&mut narrower);
        assert!(!narrower.lets_through(&request), "change {number}");
    }
    for (start, end) in [(Some(at.plus(ms)), None), (None, Some(at.minus(ms)))] {
        let narrower = RequestFilter { start, end, ..RequestFilter::default() };
        assert!(!narrower.lets_through(&request));
    }
}
