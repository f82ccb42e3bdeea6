//! Tests of offer/answer, hold, rejected streams and malformed input.

use super::*;
use crate::codec::AudioCodec;
use proptest::prelude::*;
use std::net::SocketAddr;

mod security;

const OFFER: &str = "v=0\r\no=alice 2890844526 2890844526 IN IP4 192.0.2.10\r\ns=call\r\nc=IN IP4 192.0.2.10\r\n\
    t=0 0\r\nm=audio 49170 RTP/AVP 8 0 96 97\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:96 telephone-event/48000\r\n\
    a=rtpmap:97 telephone-event/8000\r\na=fmtp:97 0-16\r\na=ptime:30\r\na=sendrecv\r\n";

fn local() -> LocalMedia {
    LocalMedia {
        address: SocketAddr::from(([198, 51, 100, 1], 20_000)),
        session: SessionId { id: 7, version: 1 },
    }
}

fn parse(text: &str) -> SessionDescription {
    SessionDescription::parse(text.as_bytes()).unwrap()
}

fn answer(
    offer: &SessionDescription,
    codecs: &[AudioCodec],
    local: LocalMedia,
) -> Result<(SessionDescription, Negotiated), NegotiationError> {
    let (both, locals) = (MediaDirection::SendRecv, [local.address.ip()]);
    let accepted = AcceptedOffer::negotiate(offer.clone(), codecs, both, &locals, SrtpPolicy::Off)?;
    let keyed = accepted.with_key(|_| Err(NegotiationError::SrtpOff))?;
    Ok((keyed.answer(local), keyed.negotiated().clone()))
}

fn answered(text: &str) -> (SessionDescription, Negotiated) {
    answer(&parse(text), &[AudioCodec::Pcmu, AudioCodec::Pcma], local()).unwrap()
}

fn rejected(text: &str) -> NegotiationError {
    answer(&parse(text), &AudioCodec::ALL, local()).unwrap_err()
}

#[test]
fn the_answer_uses_our_codec_preference_and_the_offerers_payload_types() {
    let (text, agreed) = answered(OFFER);
    assert_eq!(agreed.codec, AudioCodec::Pcmu);
    assert_eq!(agreed.send.telephone_event, PayloadType::new(97));
    assert_eq!(agreed.remote, Some(SocketAddr::from(([192, 0, 2, 10], 49170))));
    assert_eq!(agreed.peer_ptime_ms, Some(30));
    let expected = "v=0\r\no=- 7 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
        m=audio 20000 RTP/AVP 0 97\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:97 telephone-event/8000\r\n\
        a=fmtp:97 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    assert_eq!(text.to_string(), expected);
    let other = answer(&parse(OFFER), &[AudioCodec::Pcma, AudioCodec::Pcmu], local()).unwrap().1;
    assert_eq!((other.codec, other.send.audio), (AudioCodec::Pcma, PayloadType::PCMA));
}

#[test]
fn a_dynamic_payload_type_may_map_to_g711() {
    let text = OFFER.replace("RTP/AVP 8 0", "RTP/AVP 120").replace("rtpmap:8 PCMA", "rtpmap:120 pcma");
    let agreed = answered(&text).1;
    assert_eq!((agreed.codec, agreed.receive.audio.get()), (AudioCodec::Pcma, 120));
}

#[test]
fn an_rtpmap_overrides_the_codec_of_a_static_payload_type() {
    let text =
        OFFER.replace("RTP/AVP 8 0 96 97", "RTP/AVP 0").replace("rtpmap:8 PCMA/8000", "rtpmap:0 L16/44100");
    assert_eq!(rejected(&text), NegotiationError::NoCommonCodec);
}

#[test]
fn the_answer_mirrors_the_offered_direction() {
    for (offered, answer, held) in [
        ("a=sendrecv", MediaDirection::SendRecv, false),
        ("a=sendonly", MediaDirection::RecvOnly, true),
        ("a=recvonly", MediaDirection::SendOnly, false),
        ("a=inactive", MediaDirection::Inactive, true),
    ] {
        let (text, agreed) = answered(&OFFER.replace("a=sendrecv", offered));
        assert_eq!(agreed.direction, answer, "{offered}");
        assert_eq!(agreed.is_held(), held, "{offered}");
        assert_eq!(text.media[0].direction, Some(answer));
    }
    let session_level = OFFER.replace("a=sendrecv\r\n", "").replace("t=0 0\r\n", "t=0 0\r\na=sendonly\r\n");
    assert!(answered(&session_level).1.is_held());
}

#[test]
fn connection_address_0_0_0_0_means_hold() {
    let agreed = answered(&OFFER.replace("c=IN IP4 192.0.2.10", "c=IN IP4 0.0.0.0")).1;
    assert_eq!(agreed.direction, MediaDirection::RecvOnly);
    assert_eq!(agreed.remote, None);
    assert!(agreed.is_held());
}

#[test]
fn unsupported_streams_are_rejected_with_port_0() {
    let text = format!(
        "{}m=video 5000 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\nm=audio 6000 RTP/AVP 0\r\n",
        OFFER.replace("m=audio", "m=audio 3000 RTP/SAVP 0\r\nm=audio")
    );
    let answer = answered(&text).0;
    let lines: Vec<String> =
        answer.to_string().lines().filter(|line| line.starts_with("m=")).map(str::to_owned).collect();
    assert_eq!(
        lines,
        ["m=audio 0 RTP/SAVP 0", "m=audio 20000 RTP/AVP 0 97", "m=video 0 RTP/AVP 96", "m=audio 0 RTP/AVP 0",]
    );
}

#[test]
fn g722_is_negotiated_at_8000_hz_by_name_or_by_its_static_payload_type() {
    let wideband_first = [AudioCodec::G722, AudioCodec::Pcma];
    let named =
        OFFER.replace("AVP 8 0", "AVP 0 8 109").replace("a=ptime", "a=rtpmap:109 g722/8000\r\na=ptime");
    let (reply, agreed) = answer(&parse(&named), &wideband_first, local()).unwrap();
    assert_eq!((agreed.codec, agreed.send.audio.get()), (AudioCodec::G722, 109));
    assert!(reply.to_string().contains("RTP/AVP 109 97\r\na=rtpmap:109 G722/8000\r\n"), "{reply}");
    let unnamed = OFFER.replace("AVP 8 0", "AVP 8 0 9");
    let agreed = answer(&parse(&unnamed), &wideband_first, local()).unwrap().1;
    assert_eq!((agreed.codec, agreed.send.audio), (AudioCodec::G722, PayloadType::G722));
    // By default G.711 is preferred, and 16 kHz is not the clock rate of G.722 (RFC 3551 section 4.5.2).
    assert_eq!(answer(&parse(&unnamed), &AudioCodec::ALL, local()).unwrap().1.codec, AudioCodec::Pcmu);
    let wrong = named.replace("g722/8000", "g722/16000");
    assert_eq!(answer(&parse(&wrong), &wideband_first, local()).unwrap().1.codec, AudioCodec::Pcma);
    assert!(offer(&AudioCodec::ALL, local()).to_string().contains("AVP 0 8 9 101\r\n"));
}

#[test]
fn an_offer_that_cannot_be_accepted_is_rejected_for_what_its_closest_stream_lacks() {
    assert_eq!(rejected(&OFFER.replace("8 0 96 97", "4 18")), NegotiationError::NoCommonCodec);
    assert_eq!(rejected(&OFFER.replace("RTP/AVP", "RTP/SAVP")), NegotiationError::SrtpOff);
    assert_eq!(rejected(&OFFER.replace("RTP/AVP", "TCP/RTP/AVP")), NegotiationError::Profile);
    assert_eq!(rejected(&OFFER.replace("49170", "0")), NegotiationError::NoAudio);
    assert_eq!(rejected(&OFFER.replace("m=audio", "m=video")), NegotiationError::NoAudio);
    assert_eq!(rejected(&OFFER[..OFFER.find("m=").unwrap()]), NegotiationError::NoAudio);
    assert_eq!(rejected(&OFFER.replace("c=IN IP4 192.0.2.10\r\n", "")), NegotiationError::NoAddress);
    let multicast = OFFER.replace("c=IN IP4 192.0.2.10", "c=IN IP4 224.2.1.1/127");
    assert_eq!(rejected(&multicast), NegotiationError::Multicast);
    let secure_and_plain = OFFER.replace("m=audio", "m=audio 3000 RTP/SAVP 0\r\nm=audio");
    assert_eq!(rejected(&secure_and_plain.replace("8 0 96 97", "4 18")), NegotiationError::NoCommonCodec);
    assert_eq!(rejected(&secure_and_plain.replace("49170", "0")), NegotiationError::SrtpOff);
}

#[test]
fn the_answer_has_the_address_whose_ip_version_the_offer_has() {
    let ours: Vec<IpAddr> = ["198.51.100.1", "2001:db8::2"].map(|text| text.parse().unwrap()).to_vec();
    let chosen = |text: &str, locals: &[IpAddr]| {
        let codecs = AudioCodec::ALL;
        AcceptedOffer::negotiate(parse(text), &codecs, MediaDirection::SendRecv, locals, SrtpPolicy::Off)
            .map(|accepted| accepted.local())
    };
    let six = OFFER.replace("c=IN IP4 192.0.2.10", "c=IN IP6 2001:db8::1");
    assert_eq!((chosen(OFFER, &ours), chosen(&six, &ours)), (Ok(ours[0]), Ok(ours[1])));
    let named = OFFER.replace("c=IN IP4 192.0.2.10", "c=IN IP4 media.example.com");
    let reversed = [ours[1], ours[0]];
    assert_eq!(chosen(&named, &reversed), Ok(ours[1]), "a name leaves the choice to us");
    assert_eq!(chosen(&six, &ours[..1]), Err(NegotiationError::AddressFamily));
}

#[test]
fn ipv6_addresses_and_host_names_are_accepted() {
    let six = LocalMedia { address: "[2001:db8::2]:4000".parse().unwrap(), ..local() };
    let offered = OFFER.replace("c=IN IP4 192.0.2.10", "c=IN IP6 2001:db8::1");
    let agreed = answer(&parse(&offered), &AudioCodec::ALL, six).unwrap().1;
    assert_eq!(agreed.remote, Some("[2001:db8::1]:49170".parse().unwrap()));
    let named = answered(&OFFER.replace("c=IN IP4 192.0.2.10", "c=IN IP4 media.example.com")).1;
    assert_eq!(named.remote, None);
    assert!(!named.is_held());
    assert!(offer(&AudioCodec::ALL, six).to_string().contains("c=IN IP6 2001:db8::2\r\n"));
}

#[test]
fn our_own_offer_and_answer_are_compatible() {
    let caller = LocalMedia { address: SocketAddr::from(([192, 0, 2, 99], 4000)), ..local() };
    let offered = offer(&[AudioCodec::Pcma, AudioCodec::Pcmu], caller);
    assert_eq!(parse(&offered.to_string()), offered);
    let (reply, theirs) = answer(&offered, &[AudioCodec::Pcmu, AudioCodec::Pcma], local()).unwrap();
    let ours = accept_answer(&offered, &parse(&reply.to_string())).unwrap();
    assert_eq!((ours.codec, theirs.codec), (AudioCodec::Pcmu, AudioCodec::Pcmu));
    assert_eq!(ours.remote, Some(local().address));
    assert_eq!(theirs.remote, Some(caller.address));
    assert_eq!(ours.receive.telephone_event, Some(PayloadType::TELEPHONE_EVENT));
}

#[test]
fn an_answer_that_does_not_match_the_offer_is_rejected() {
    let offered = offer(&[AudioCodec::Pcmu], local());
    let reply = |text: &str| accept_answer(&offered, &parse(text));
    let good = offered.to_string();
    assert_eq!(reply(&good.replace("20000", "0")), Err(NegotiationError::StreamRejected));
    assert_eq!(
        reply(&good.replace("AVP 0 101", "AVP 8").replace("rtpmap:0 PCMU", "rtpmap:8 PCMA")),
        Err(NegotiationError::AnswerMismatch)
    );
    assert_eq!(reply(&format!("{good}m=audio 1 RTP/AVP 0\r\n")), Err(NegotiationError::AnswerMismatch));
}

#[test]
fn an_answer_with_an_address_of_another_ip_version_than_the_offer_is_rejected_as_such() {
    let offered = offer(&[AudioCodec::Pcmu], local());
    let good = offered.to_string();
    for (address, expected) in [
        ("IN IP6 2001:db8::5", Err(NegotiationError::AddressFamily)),
        ("IN IP6 ::ffff:192.0.2.1", Ok(())),
        ("IN IP4 192.0.2.1", Ok(())),
        ("IN IP4 0.0.0.0", Ok(())),
        ("IN IP4 caller.example", Ok(())),
    ] {
        let reply = good.replace("c=IN IP4 198.51.100.1", &format!("c={address}"));
        assert_eq!(accept_answer(&offered, &parse(&reply)).map(|_| ()), expected, "{address}");
    }
    let media = format!("{good}c=IN IP6 2001:db8::5\r\n");
    assert_eq!(accept_answer(&offered, &parse(&media)), Err(NegotiationError::AddressFamily));
}

#[test]
fn ptime_outside_10_to_60_ms_is_ignored() {
    assert_eq!(answered(&OFFER.replace("ptime:30", "ptime:200")).1.peer_ptime_ms, None);
    assert_eq!(answered(&OFFER.replace("ptime:30", "ptime:20.0")).1.peer_ptime_ms, Some(20));
}

#[test]
fn malformed_and_oversized_descriptions_are_rejected_with_their_cause() {
    let error = |text: &str| SessionDescription::parse(text.as_bytes()).unwrap_err();
    assert_eq!(error(""), SdpError::Missing('v'));
    assert_eq!(error("o=x\r\n"), SdpError::Missing('v'));
    assert_eq!(error("v=0\r\ns=-\r\n"), SdpError::Missing('o'));
    assert_eq!(error("v=0\r\nnonsense\r\n"), SdpError::Malformed { line: 2 });
    assert_eq!(error("v=1\r\n"), SdpError::Malformed { line: 1 });
    assert_eq!(error(&OFFER.replace("49170", "70000")), SdpError::Malformed { line: 6 });
    assert_eq!(error(&"v=0\r\n".repeat(4000)), SdpError::TooLong);
    assert_eq!(error(&format!("{OFFER}{}", "m=audio 1 RTP/AVP 0\r\n".repeat(16))), SdpError::TooManyStreams);
    assert_eq!(SessionDescription::parse(&[b'v', b'=', 0xff]), Err(SdpError::Malformed { line: 1 }));
    assert_eq!(
        error(&OFFER.replace("o=alice 2890844526 2890844526", "o=1")),
        SdpError::Malformed { line: 2 }
    );
    assert_eq!(
        error(&OFFER.replace("o=alice 2890844526 2890844526 IN IP4 192.0.2.10", "o=a 1 1 IN IP4")),
        SdpError::Malformed { line: 2 }
    );
    // Bare LF line ends are accepted.
    assert_eq!(parse(&OFFER.replace("\r\n", "\n")), parse(OFFER));
}

#[test]
fn text_fields_that_are_not_utf_8_are_accepted_and_never_repeated() {
    let text = OFFER
        .replace("o=alice", "o=Jos\u{e9}")
        .replace("s=call\r\n", "s=R\u{e9}union\r\ni=caf\u{e9}\r\n")
        .replace("a=sendrecv", "a=x-name:caf\u{e9}\r\na=rtpmap:19 caf\u{e9}/8000\r\na=sendrecv");
    let latin_1: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    assert!(std::str::from_utf8(&latin_1).is_err());
    let offered = SessionDescription::parse(&latin_1).unwrap();
    assert_eq!(offered.origin.username, "Jos\u{fffd}");
    let (reply, agreed) = answer(&offered, &AudioCodec::ALL, local()).unwrap();
    assert_eq!((&reply, agreed), (&answered(OFFER).0, answered(OFFER).1));
    assert!(reply.to_string().is_ascii());
}

#[test]
fn a_user_name_with_spaces_does_not_shift_the_fields_of_the_origin() {
    let origin =
        |line: &str| parse(&OFFER.replace("o=alice 2890844526 2890844526 IN IP4 192.0.2.10", line)).origin;
    let named = origin("o=Jos\u{e9} de la Vega 12 34 IN IP4 192.0.2.7");
    assert_eq!((named.username.as_str(), named.session_id.as_str()), ("Jos\u{e9} de la Vega", "12"));
    assert_eq!((named.version.as_str(), &named.address), ("34", &origin("o=- 1 1 IN IP4 192.0.2.7").address));
    assert_eq!(origin("o=IN IP4 12 34 IN IP6 2001:db8::1 extra").username, "IN IP4");
    assert_eq!(origin("o= 12 34 IN IP4 192.0.2.7").username, "", "a missing user name");
}

#[test]
fn an_answer_with_other_payload_type_numbers_sets_one_number_per_direction() {
    // RFC 3264 section 5.1: each side receives with the numbers of its own description.
    let offered = offer(&[AudioCodec::Pcmu], local());
    let reply = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 118 96\r\na=rtpmap:118 PCMU/8000\r\na=rtpmap:96 telephone-event/8000\r\n";
    let agreed = accept_answer(&offered, &parse(reply)).unwrap();
    assert_eq!((agreed.send.audio.get(), agreed.receive.audio.get()), (118, 0));
    assert_eq!(agreed.send.telephone_event, PayloadType::new(96));
    assert_eq!(agreed.receive.telephone_event, Some(PayloadType::TELEPHONE_EVENT));
    let without = reply.replace(" 96\r\n", "\r\n").replace("a=rtpmap:96 telephone-event/8000\r\n", "");
    let agreed = accept_answer(&offered, &parse(&without)).unwrap();
    assert_eq!((agreed.send.telephone_event, agreed.receive.telephone_event), (None, None));
}

#[test]
fn an_rtp_avpf_offer_is_answered_with_rtp_avpf() {
    let text = OFFER
        .replace("RTP/AVP ", "RTP/AVPF ")
        .replace("a=sendrecv", "a=rtcp-fb:* trr-int 5000\r\na=sendrecv");
    let (reply, agreed) = answered(&text);
    assert_eq!((agreed.codec, reply.media[0].protocol.as_str()), (AudioCodec::Pcmu, "RTP/AVPF"));
    let dtls = OFFER.replace("RTP/AVP ", "UDP/TLS/RTP/SAVPF ");
    assert_eq!(rejected(&dtls), NegotiationError::Profile);
}

#[test]
fn comfort_noise_is_answered_only_if_it_is_offered() {
    assert_eq!(answered(OFFER).1.send.comfort_noise, None);
    let (reply, agreed) = answered(&OFFER.replace("8 0 96 97", "8 0 13 96 97"));
    assert_eq!(agreed.send.comfort_noise, Some(PayloadType::COMFORT_NOISE));
    assert_eq!(agreed.receive.comfort_noise, Some(PayloadType::COMFORT_NOISE));
    assert!(
        reply.to_string().contains("RTP/AVP 0 97 13\r\n")
            && reply.to_string().contains("a=rtpmap:13 CN/8000\r\n")
    );
    let mapped = OFFER
        .replace("8 0 96 97", "8 0 19 97")
        .replace("rtpmap:96 telephone-event/48000", "rtpmap:19 cn/8000");
    assert_eq!(answered(&mapped).1.send.comfort_noise, PayloadType::new(19));
    // 13 may be mapped to something else, and comfort noise of another clock rate belongs to another codec.
    for map in ["rtpmap:13 opus/48000/2", "rtpmap:13 CN/16000"] {
        let other = OFFER.replace("8 0 96 97", "8 0 13 97").replace("rtpmap:96 telephone-event/48000", map);
        assert_eq!(answered(&other).1.send.comfort_noise, None, "{map}");
    }
}

#[test]
fn an_offer_with_an_address_of_the_other_ip_version_is_rejected_as_such() {
    let six = OFFER.replace("c=IN IP4 192.0.2.10", "c=IN IP6 2001:db8::1");
    assert_eq!(rejected(&six), NegotiationError::AddressFamily);
    let local_six = LocalMedia { address: "[2001:db8::2]:4000".parse().unwrap(), ..local() };
    assert_eq!(
        answer(&parse(OFFER), &AudioCodec::ALL, local_six).unwrap_err(),
        NegotiationError::AddressFamily
    );
    // An IPv4 address written as IPv6 is an IPv4 address (RFC 4291 section 2.5.5.2).
    let mapped = OFFER.replace("c=IN IP4 192.0.2.10", "c=IN IP6 ::ffff:192.0.2.10");
    assert_eq!(answered(&mapped).1.remote, Some(SocketAddr::from(([192, 0, 2, 10], 49170))));
    // Without a common codec the IP version is not the problem.
    assert_eq!(rejected(&six.replace("8 0 96 97", "4 18")), NegotiationError::NoCommonCodec);
    // A second stream of the other IP version is chosen, as in ANAT-like offers (RFC 3264 section 6).
    let both = format!("{six}m=audio 6000 RTP/AVP 0\r\nc=IN IP4 192.0.2.10\r\n");
    assert_eq!(answered(&both).1.remote, Some(SocketAddr::from(([192, 0, 2, 10], 6000))));
}

proptest! {
    #[test]
    fn mutated_offers_never_cause_a_panic(changes in prop::collection::vec((0usize..400, any::<u8>()), 1..12), cut in 0usize..400) {
        let mut bytes = OFFER.as_bytes().to_vec();
        for (at, with) in changes {
            let at = at % bytes.len();
            bytes[at] = with;
        }
        bytes.truncate(cut.max(40));
        if let Ok(offered) = SessionDescription::parse(&bytes)
            && let Ok((reply, _)) = answer(&offered, &AudioCodec::ALL, local())
        {
            // The answer can be parsed and has one m-line per offered m-line.
            let again = SessionDescription::parse(reply.to_string().as_bytes()).unwrap();
            prop_assert_eq!(again.media.len(), offered.media.len());
        }
    }

    #[test]
    fn arbitrary_bytes_never_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = SessionDescription::parse(&bytes);
    }
}
