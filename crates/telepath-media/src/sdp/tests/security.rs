//! SRTP and RTCP in offer and answer.

use super::*;
use crate::srtp::{CryptoSuite, MAX_KEY_BYTES, MasterKey};
use zeroize::Zeroizing;

const CM: &str = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n";
const CM_32: &str = "a=crypto:4 AES_CM_128_HMAC_SHA1_32 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n";
const GCM: &str = "a=crypto:2 AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==\r\n";
const GCM_256: &str =
    "a=crypto:3 AEAD_AES_256_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKis=\r\n";

fn key(suite: CryptoSuite) -> MasterKey {
    MasterKey::from_random(suite, &Zeroizing::new([0x42; MAX_KEY_BYTES]))
}

fn keys() -> Vec<MasterKey> {
    CryptoSuite::ALL.into_iter().map(key).collect()
}

fn offered(profile: &str, attributes: &str) -> String {
    format!(
        "v=0\r\no=a 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 49170 {profile} 0\r\n{attributes}"
    )
}

fn negotiate(text: &str, srtp: SrtpPolicy) -> Result<(SessionDescription, Negotiated), NegotiationError> {
    let both = MediaDirection::SendRecv;
    let locals = [local().address.ip()];
    let accepted = AcceptedOffer::negotiate(parse(text), &AudioCodec::ALL, both, &locals, srtp)?;
    let keyed = accepted.with_key(|suite| Ok(key(suite)))?;
    Ok((keyed.answer(local()), keyed.negotiated().clone()))
}

/// The suite of the negotiated keys.
fn suite(media: &Negotiated) -> Option<CryptoSuite> {
    media.srtp.as_ref().map(|keys| keys.local.suite())
}

#[test]
fn both_forms_of_offers_are_answered_in_their_profile_by_the_setting_of_the_trunk() {
    use NegotiationError::{NoCommonSuite, Profile, SrtpOff, SrtpRequired};
    use SrtpPolicy::{Off, Preferred, Required};
    let cm = Some(CryptoSuite::AesCm128HmacSha1_80);
    let cases = [
        ("RTP/AVP", "", [Ok(None), Ok(None), Err(SrtpRequired)]),
        ("RTP/AVPF", "", [Ok(None), Ok(None), Err(SrtpRequired)]),
        ("RTP/AVP", CM, [Ok(None), Ok(cm), Ok(cm)]),
        ("RTP/AVP", CM_32, [Ok(None), Ok(None), Err(NoCommonSuite)]),
        ("RTP/SAVP", CM, [Err(SrtpOff), Ok(cm), Ok(cm)]),
        ("RTP/SAVPF", CM, [Err(SrtpOff), Ok(cm), Ok(cm)]),
        ("RTP/SAVP", "", [Err(SrtpOff), Err(NoCommonSuite), Err(NoCommonSuite)]),
        ("RTP/SAVP", CM_32, [Err(SrtpOff), Err(NoCommonSuite), Err(NoCommonSuite)]),
        ("UDP/TLS/RTP/SAVPF", CM, [Err(Profile), Err(Profile), Err(Profile)]),
    ];
    for (profile, attributes, expected) in cases {
        for (policy, expected) in [Off, Preferred, Required].into_iter().zip(expected) {
            let result = negotiate(&offered(profile, attributes), policy);
            let found = result.as_ref().map(|(_, media)| suite(media)).map_err(|error| *error);
            assert_eq!(found, expected, "{profile} {attributes} {policy:?}");
            let Ok((answer, _)) = result else { continue };
            let text = answer.to_string();
            assert!(text.contains(&format!("m=audio 20000 {profile} 0\r\n")), "{text}");
            assert_eq!(text.contains("a=crypto:"), expected != Ok(None), "{text}");
        }
    }
}

#[test]
fn the_first_offered_suite_that_is_supported_is_answered_with_its_tag_and_our_key() {
    let cases = [
        ([CM_32, CM, GCM], "1 AES_CM_128_HMAC_SHA1_80"),
        ([CM_32, GCM, CM], "2 AEAD_AES_128_GCM"),
        ([GCM_256, CM, GCM], "3 AEAD_AES_256_GCM"),
    ];
    for (attributes, expected) in cases {
        let text = offered("RTP/SAVP", &attributes.concat());
        let (answer, media) = negotiate(&text, SrtpPolicy::Preferred).unwrap();
        let keys = media.srtp.unwrap();
        let line = format!("a=crypto:{expected} inline:{}\r\n", *keys.local.to_base64());
        let text = answer.to_string();
        assert!(text.ends_with(&line) && text.matches("a=crypto").count() == 1, "{text}");
        assert_ne!(keys.local, keys.remote.key);
    }
}

#[test]
fn a_stream_with_srtp_is_accepted_before_one_in_clear_unless_srtp_is_off() {
    let secure = format!("m=audio 6000 RTP/SAVP 0\r\n{CM}");
    let text = offered("RTP/AVP", &secure);
    let ports = |policy| {
        let (answer, media) = negotiate(&text, policy).unwrap();
        (media.remote.unwrap().port(), answer.media[0].port, answer.media[1].port)
    };
    assert_eq!(ports(SrtpPolicy::Off), (49170, 20_000, 0));
    assert_eq!(ports(SrtpPolicy::Preferred), (6000, 0, 20_000));
    assert_eq!(ports(SrtpPolicy::Required), (6000, 0, 20_000));
    let rejected = negotiate(&text, SrtpPolicy::Off).unwrap().0.to_string();
    assert!(rejected.ends_with("m=audio 0 RTP/SAVP 0\r\n"), "no key in a rejected stream: {rejected}");
}

#[test]
fn attributes_that_ask_for_what_is_not_supported_are_ignored() {
    let key = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    let parse = |text: &str| CryptoAttribute::parse(text).is_some();
    let good = [
        format!("1 AES_CM_128_HMAC_SHA1_80 {key}"),
        format!("123456789 AES_CM_128_HMAC_SHA1_80 {key}|2^31"),
        format!("1 AES_CM_128_HMAC_SHA1_80 {key}|2^31|1:1"),
        format!("1 AES_CM_128_HMAC_SHA1_80 {key}|1048576|1:4 WSH=128"),
        format!("1  AES_CM_128_HMAC_SHA1_80\t{key}|1:1 -future=1"),
        format!("1 AES_CM_128_HMAC_SHA1_80 {}", key.replace("inline", "INLINE")),
    ];
    for text in good {
        assert!(parse(&text), "{text}");
    }
    let mut bad: Vec<String> = [
        "UNENCRYPTED_SRTP",
        "UNENCRYPTED_SRTCP",
        "UNAUTHENTICATED_SRTP",
        "KDR=1",
        "FEC_ORDER=FEC_SRTP",
        "FEC_KEY=inline:x",
        "future=1",
    ]
    .map(|parameter| format!("1 AES_CM_128_HMAC_SHA1_80 {key} {parameter}"))
    .into();
    bad.extend(
        ["|2^49", "|2^64", "|0", "|x", "|2^31|2^31", "|1:1|1:2", "|2^31|1:9", "|", "|2^31|", ";inline:x"]
            .map(|tail| format!("1 AES_CM_128_HMAC_SHA1_80 {key}{tail}")),
    );
    let truncated = ["", "1", "x", "1 AES_CM_128_HMAC_SHA1_80", "1 AES_CM_128_HMAC_SHA1_80 inline"];
    bad.extend(truncated.map(str::to_owned));
    bad.push(format!("1234567890 AES_CM_128_HMAC_SHA1_80 {key}"));
    bad.push(format!("1 aes_cm_128_hmac_sha1_80 {key}"));
    bad.push(format!("1 AEAD_AES_128_GCM {key}"));
    bad.push(format!("1 AES_CM_128_HMAC_SHA1_80 uri:{key}"));
    for text in bad {
        assert!(!parse(&text), "{text}");
    }
}

#[test]
fn our_offers_have_one_key_per_suite_in_the_profile_of_the_setting() {
    let with_keys = |policy| offer_with_keys(&[AudioCodec::Pcmu], local(), policy, keys()).to_string();
    let clear = offer(&[AudioCodec::Pcmu], local()).to_string();
    assert_eq!(with_keys(SrtpPolicy::Off), clear);
    for (policy, profile) in [(SrtpPolicy::Preferred, "RTP/AVP"), (SrtpPolicy::Required, "RTP/SAVP")] {
        let text = with_keys(policy);
        assert!(text.starts_with(&clear.replace("RTP/AVP", profile)), "{text}");
        for (tag, suite) in (1..).zip(CryptoSuite::ALL) {
            assert!(text.contains(&format!("a=crypto:{tag} {} inline:", suite.name())), "{text}");
        }
        assert_eq!(parse(&text).media[0].crypto.len(), 3, "we can read it ourselves");
    }
}

#[test]
fn an_answer_to_our_offer_names_one_of_our_keys_or_none() {
    let (last, first) = (CM.replace(":1 ", ":3 "), GCM.replace(":2 ", ":1 "));
    let unknown_tag = GCM.replace(":2 ", ":9 ");
    let mismatch = Err(NegotiationError::AnswerMismatch);
    for (policy, profile, attributes, expected) in [
        (SrtpPolicy::Preferred, "RTP/AVP", "", Ok(None)),
        (SrtpPolicy::Preferred, "RTP/AVP", &*last, Ok(Some(CryptoSuite::AesCm128HmacSha1_80))),
        (SrtpPolicy::Preferred, "RTP/SAVP", &*first, Ok(Some(CryptoSuite::AeadAes128Gcm))),
        (SrtpPolicy::Required, "RTP/SAVP", &*first, Ok(Some(CryptoSuite::AeadAes128Gcm))),
        (SrtpPolicy::Required, "RTP/SAVP", "", mismatch),
        (SrtpPolicy::Required, "RTP/AVP", "", mismatch),
        (SrtpPolicy::Preferred, "RTP/SAVP", "", mismatch),
        // Another suite under a tag of ours, another tag, and a suite that we do not know.
        (SrtpPolicy::Preferred, "RTP/AVP", GCM, mismatch),
        (SrtpPolicy::Preferred, "RTP/AVP", &*unknown_tag, mismatch),
        (SrtpPolicy::Preferred, "RTP/AVP", CM_32, mismatch),
        (SrtpPolicy::Off, "RTP/SAVP", &*first, mismatch),
    ] {
        let ours = offer_with_keys(&AudioCodec::ALL, local(), policy, keys());
        let result = accept_answer(&ours, &parse(&offered(profile, attributes)));
        let found = result.as_ref().map(suite).map_err(|error| *error);
        assert_eq!(found, expected, "{policy:?} {profile} {attributes}");
        if let Ok(Negotiated { srtp: Some(keys), .. }) = result {
            assert_eq!(keys.local, key(keys.local.suite()));
        }
    }
}

#[test]
fn rtcp_is_sent_to_the_port_of_rtp_to_a_named_one_or_to_the_next() {
    let agreed = |attributes: &str| {
        let (answer, media) = negotiate(&offered("RTP/AVP", attributes), SrtpPolicy::Off).unwrap();
        (media.rtcp, answer.to_string().contains("a=rtcp-mux\r\n"))
    };
    let named = |text: &str| RtcpTransport::Separate(Some(text.parse().unwrap()));
    assert_eq!(agreed(""), (RtcpTransport::Separate(None), false));
    assert_eq!(agreed("a=rtcp-mux\r\n"), (RtcpTransport::Muxed, true));
    assert_eq!(agreed("a=rtcp:5005\r\n"), (named("192.0.2.10:5005"), false));
    assert_eq!(agreed("a=rtcp:5005 IN IP4 192.0.2.11\r\n"), (named("192.0.2.11:5005"), false));
    assert_eq!(agreed("a=rtcp:5005 IN IP4 192.0.2.11\r\na=rtcp-mux\r\n"), (RtcpTransport::Muxed, true));
    for ignored in ["rtcp:0", "rtcp:x", "rtcp:70000", "rtcp:5 IN", "rtcp:5 IN IP4 name"] {
        assert_eq!(agreed(&format!("a={ignored}\r\n")), (RtcpTransport::Separate(None), false), "{ignored}");
    }
    // We do not offer to share a port, so a peer cannot accept it.
    let reply = parse(&offered("RTP/AVP", "a=rtcp-mux\r\n"));
    let media = accept_answer(&offer(&AudioCodec::ALL, local()), &reply).unwrap();
    assert_eq!(media.rtcp, RtcpTransport::Separate(None));
}

#[test]
fn descriptions_with_keys_do_not_print_them() {
    let parsed = parse(&offered("RTP/SAVP", CM));
    let text = format!("{parsed:?}");
    assert!(text.contains("[redacted]") && !text.contains("WVNf"), "{text}");
}
