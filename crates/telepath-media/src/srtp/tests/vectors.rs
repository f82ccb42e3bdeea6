//! Vectors from RFC 3711 appendix B, RFC 6188 section 7, RFC 7714 sections 16 and 17, and of libsrtp.

use super::*;
use crate::srtp::cipher::SessionCipher;
use crate::srtp::derivation::{Label, apply_key_stream, counter_mode, derive};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn master(suite: CryptoSuite, material: &str) -> MasterKey {
    MasterKey::from_base64(suite, &STANDARD.encode(hex(material))).unwrap()
}

fn derived(master: &MasterKey, label: Label, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    derive(master, label, &mut out).unwrap();
    out
}

#[test]
fn the_key_stream_is_that_of_rfc_3711_appendix_b_2() {
    let key = counter_mode(&hex("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap();
    let mut stream = vec![0; 0xff02 * 16];
    let counter = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap();
    apply_key_stream(&key, counter, &mut stream).unwrap();
    assert_eq!(stream[..32], hex("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB"));
    let last = &stream[0xfeff * 16..];
    assert_eq!(
        last[..48],
        hex(
            "EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE 6A2CC3787889374FBEB4C81B17BA6C44"
        )
    );
}

#[test]
fn session_keys_are_those_of_rfc_3711_appendix_b_3() {
    let suite = CryptoSuite::AesCm128HmacSha1_80;
    let key = master(suite, "E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
    assert_eq!(derived(&key, Label::RtpEncryption, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(derived(&key, Label::RtpSalt, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(derived(&key, Label::RtpAuthentication, 20), hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
}

#[test]
fn aes_256_derives_as_in_rfc_6188_section_7_2() {
    // The RFC has a salt of 14 bytes; the first 12 of them leave only the end of the counter block different.
    let key = "F0F04914B513F2763A1B1FA130F10E2998F6F6E43E4309D1E622A0E332B9F1B6";
    let prf = counter_mode(&hex(key)).unwrap();
    let mut counter: [u8; 16] = hex("3B04803DE51EE7C96423AB5B78D20000").try_into().unwrap();
    let mut session = [0; 32];
    apply_key_stream(&prf, counter, &mut session).unwrap();
    assert_eq!(session[..], hex("5BA1064E30EC51613CAD926C5A28EF731EC7FB397F70A960653CAF06554CD8C4"));
    counter[12] = 0;
    counter[13] = 0;
    let mut shorter = [0; 32];
    apply_key_stream(&prf, counter, &mut shorter).unwrap();
    let short = master(CryptoSuite::AeadAes256Gcm, &format!("{key} 3B04803DE51EE7C96423AB5B"));
    assert_eq!(derived(&short, Label::RtpEncryption, 32), shorter);
}

#[test]
fn counter_mode_with_hmac_sha1_matches_libsrtp() {
    let suite = CryptoSuite::AesCm128HmacSha1_80;
    let key = master(suite, "E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
    let mut packet = hex("800f1234decafbadcafebabe abababababababababababababababab 00000000000000000000");
    let cipher = SessionCipher::for_rtp(&key).unwrap();
    cipher.seal_rtp(&mut packet, 12, Ssrc(0xcafe_babe), 0x1234).unwrap();
    assert_eq!(packet, hex("800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb"));
}

/// "Quid pro quo".
const SALT: &str = "517569642070726f2071756f";
const RTP: &str = "8040f17b8041f8d35501a0b2
    47616c6c696120657374206f6d6e697320646976697361 20696e207061727465732074726573";
const RTCP: &str = "81c8000d4d617273 4e5450314e545032 525450200000042a 0000e9304c756e61
    deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";

fn gcm(key_length: u8) -> SessionCipher {
    let key: Vec<u8> = (0..key_length).collect();
    SessionCipher::gcm(&key, hex(SALT).try_into().unwrap()).unwrap()
}

#[test]
fn srtp_in_galois_counter_mode_is_that_of_rfc_7714_section_16() {
    for (key_length, sealed) in [
        (
            16,
            "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833
             899d7f27beb16a9152cf765ee4390cce",
        ),
        (
            32,
            "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b
             7aa3db36dfffd6b0f9bb7878d7a76c13",
        ),
    ] {
        let plain = hex(RTP);
        let mut packet = plain.clone();
        packet.resize(plain.len() + 16, 0);
        let (ssrc, index) = (Ssrc(0x5501_a0b2), 0xf17b);
        gcm(key_length).seal_rtp(&mut packet, 12, ssrc, index).unwrap();
        assert_eq!(packet[12..], hex(sealed));
        let length = gcm(key_length).open_rtp(&mut packet, 12, ssrc, index).unwrap();
        assert_eq!(packet[..length], plain);
    }
}

#[test]
fn srtcp_in_galois_counter_mode_is_that_of_rfc_7714_section_17() {
    for (key_length, sealed) in [
        (
            16,
            "63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded
             0bb9275bc84aa45896cf4d2fc5abf87245d9eade 800005d4",
        ),
        (
            32,
            "d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de047
             6f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be 800005d4",
        ),
    ] {
        let mut packet = hex(RTCP);
        let ssrc = Ssrc(0x4d61_7273);
        gcm(key_length).seal_rtcp(&mut packet, ssrc, 0x5d4).unwrap();
        assert_eq!(packet[8..], hex(sealed));
        assert_eq!(gcm(key_length).index_word(&packet), Some(0x8000_05d4));
        let length = gcm(key_length).open_rtcp(&mut packet, ssrc, 0x5d4).unwrap();
        assert_eq!(packet[..length], hex(RTCP));
    }
}

#[test]
fn key_parameters_are_base64_of_the_length_of_the_suite() {
    let suite = CryptoSuite::AesCm128HmacSha1_80;
    // The example of RFC 4568 section 9.1.
    let text = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    assert_eq!(*MasterKey::from_base64(suite, text).unwrap().to_base64(), text);
    let long = "A".repeat(10_000);
    for bad in [
        "",
        "WVNf",
        "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGV",
        "W*NfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
        &long,
    ] {
        assert!(MasterKey::from_base64(suite, bad).is_none(), "{bad}");
    }
    let unpadded = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw";
    assert!(MasterKey::from_base64(CryptoSuite::AeadAes128Gcm, unpadded).is_some(), "without padding");
    assert!(MasterKey::from_base64(CryptoSuite::AeadAes256Gcm, unpadded).is_none());
}

/// What libsrtp makes of the same packets with a master key and salt of the bytes 0, 1, 2, …
#[test]
fn derivation_and_protection_together_match_libsrtp() {
    let rtp = format!("80000001000000a0cafebabe {}", "ab".repeat(20));
    let rtcp = "80c90001cafebabe 81ca0003cafebabe01046e616d650000";
    for (suite, sealed_rtp, sealed_rtcp) in [
        (
            CryptoSuite::AeadAes128Gcm,
            "cc2b2528e4e1b1102ec5cb2a940b420ca5f9c3ffa632fe7abedecf6cc23b2838509f9e53",
            "4ad727111055f535c60e047e8ca75bbc92230a4bbbce5242e9231e27602d4ab880000001",
        ),
        (
            CryptoSuite::AeadAes256Gcm,
            "e8eb097ced32dced9e78e6e124c94814f471b5cdd316ef63b96f6257edb3a71ce7d253fe",
            "38b43d66009194f2104ea4c9f3adde426c58c748ef2f2b73ab47604183dffc9c80000001",
        ),
        (
            CryptoSuite::AesCm128HmacSha1_80,
            "2d9c70ba2b7958e908fd43a583befe0e60f1891d245709040c5c7b161bbc",
            "07aa7a089636901dd37c5d15b2f1e4d680000001b6b3ee7cbedc6ff2d7d3",
        ),
    ] {
        let length = u8::try_from(suite.material_length()).unwrap();
        let key = MasterKey::from_base64(suite, &STANDARD.encode((0..length).collect::<Vec<u8>>())).unwrap();
        let mut packet = hex(&rtp);
        packet.resize(packet.len() + suite.tag_length(), 0);
        let ssrc = Ssrc(0xcafe_babe);
        SessionCipher::for_rtp(&key).unwrap().seal_rtp(&mut packet, 12, ssrc, 1).unwrap();
        assert_eq!(packet[12..], hex(sealed_rtp), "{suite:?}");
        let mut packet = hex(rtcp);
        SessionCipher::for_rtcp(&key).unwrap().seal_rtcp(&mut packet, ssrc, 1).unwrap();
        assert_eq!(packet[8..], hex(sealed_rtcp), "{suite:?}");
    }
}
