//! The examples of the RFCs, and the server against replayed, forged and mismatched credentials.

mod nonces;

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::message::{Message, Request, Response, parse_datagram};

const REALM: &str = "telepath.test";
const LIFETIME: u64 = 60;
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
const NOW: EpochSeconds = EpochSeconds(1_800_000_000);

fn server(max_nonces: usize) -> DigestServer {
    server_with(max_nonces, DigestAlgorithms::Both)
}

fn server_with(max_nonces: usize, algorithms: DigestAlgorithms) -> DigestServer {
    DigestServer::new(config(max_nonces, algorithms), NonceSecret::new([7; 32]), 8)
}

fn config(max_nonces: usize, algorithms: DigestAlgorithms) -> DigestConfig {
    DigestConfig { realm: Realm::new(REALM), nonce_lifetime_seconds: LIFETIME, max_nonces, algorithms }
}

fn ha1() -> Ha1Pair {
    Ha1Pair::derive("alice", REALM, "open sesame")
}

fn invite(authorization: &str) -> Box<Request> {
    let text = format!(
        "INVITE sip:desk@callee.test SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK1\r\n\
         From: <sip:alice@caller.test>;tag=1\r\nTo: <sip:desk@callee.test>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:alice@198.51.100.7>\r\nAuthorization: {authorization}\r\n\r\n"
    );
    match parse_datagram(text.as_bytes()).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a request"),
    }
}

fn nonce_of(challenge: &Challenge) -> String {
    DigestParams::parse(challenge.as_str()).unwrap().get("nonce").unwrap().to_owned()
}

/// The credentials that a client computes.
struct TestCredentials<'a> {
    user: &'a str,
    password: &'a str,
    algorithm: Algorithm,
    nonce: &'a str,
    nc: Option<&'a str>,
    uri: &'a str,
}

impl<'a> TestCredentials<'a> {
    fn valid(nonce: &'a str) -> Self {
        TestCredentials {
            user: "alice",
            password: "open sesame",
            algorithm: Algorithm::Sha256,
            nonce,
            nc: Some("00000001"),
            uri: "sip:desk@callee.test",
        }
    }

    fn request(&self) -> Box<Request> {
        let key = Ha1::derive(self.algorithm, self.user, REALM, self.password);
        let qop = self.nc.map(|nc| Qop { nc, cnonce: "c0ffee" });
        let digest = digest_response(key, self.nonce, qop, &Method::Invite, self.uri);
        let qop = self.nc.map(|nc| format!(", qop=auth, nc={nc}, cnonce=\"c0ffee\"")).unwrap_or_default();
        invite(&format!(
            "Digest username=\"{}\", realm=\"{REALM}\", nonce=\"{}\", uri=\"{}\", response=\"{digest}\", algorithm={}{qop}",
            self.user,
            self.nonce,
            self.uri,
            self.algorithm.name()
        ))
    }

    fn verify(&self, server: &mut DigestServer, now: EpochSeconds) -> DigestVerification {
        let request = self.request();
        let AuthorizationHeader::Credentials(credentials) = server.read_authorization(request.headers())
        else {
            panic!("credentials")
        };
        let known = ha1();
        let known = (credentials.username() == "alice").then_some(&known);
        server.verify(&credentials, &request, SOURCE, known, now)
    }
}

#[test]
fn digest_response_matches_the_examples_of_rfc_7616_section_3_9_1() {
    let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    let qop = Some(Qop { nc: "00000001", cnonce });
    let method = Method::parse("GET").unwrap();
    let digest = |algorithm| {
        let key = Ha1::derive(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life");
        digest_response(key, nonce, qop, &method, "/dir/index.html")
    };
    assert_eq!(digest(Algorithm::Md5), "8ca523f5e9506fed4657c9700eebdbec");
    assert_eq!(digest(Algorithm::Sha256), "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
}

#[test]
fn digest_response_matches_the_example_of_rfc_2617_section_3_5() {
    let key = Ha1::derive(Algorithm::Md5, "Mufasa", "testrealm@host.com", "Circle Of Life");
    let qop = Some(Qop { nc: "00000001", cnonce: "0a4f113b" });
    let method = Method::parse("GET").unwrap();
    let digest = digest_response(key, "dcd98b7102dd2f0e8b11d0f600bfb0c093", qop, &method, "/dir/index.html");
    assert_eq!(digest, "6629fae49393a05397450978507c4ef1");
    assert_eq!(key.to_hex(), "939e7578ed9e3c518a452acee763bce9");
    assert!(Ha1::from_hex(Algorithm::Md5, "939e7578ed9e3c518a452acee763bce9").is_some());
    assert!(Ha1::from_hex(Algorithm::Sha256, "939e7578ed9e3c518a452acee763bce9").is_none());
}

#[test]
fn md5_and_sha_256_are_offered_and_accepted() {
    let mut server = server(10);
    let challenges = server.challenge(false, SOURCE, NOW);
    assert_eq!(challenges.len(), 2);
    assert!(challenges[0].as_str().contains("algorithm=MD5"));
    assert!(challenges[1].as_str().contains("algorithm=SHA-256"));
    let nonce = nonce_of(&challenges[0]);
    assert_eq!(TestCredentials::valid(&nonce).verify(&mut server, NOW), DigestVerification::Valid);
    let md5 =
        TestCredentials { algorithm: Algorithm::Md5, nc: Some("00000002"), ..TestCredentials::valid(&nonce) };
    assert_eq!(md5.verify(&mut server, NOW), DigestVerification::Valid);
}

#[test]
fn nc_is_hexadecimal_and_each_value_is_accepted_once() {
    let mut server = server(10);
    let nonce = nonce_of(&server.challenge(false, SOURCE, NOW)[0]);
    for count in 1..=300_u32 {
        let nc = format!("{count:08x}");
        let credentials = TestCredentials { nc: Some(&nc), ..TestCredentials::valid(&nonce) };
        assert_eq!(credentials.verify(&mut server, NOW), DigestVerification::Valid, "{nc}");
        assert_eq!(
            credentials.verify(&mut server, NOW),
            DigestVerification::Rejected(DigestRejectReason::Replayed),
            "{nc}"
        );
    }
    let old = TestCredentials { nc: Some("00000001"), ..TestCredentials::valid(&nonce) };
    assert_eq!(old.verify(&mut server, NOW), DigestVerification::Rejected(DigestRejectReason::Replayed));
}

#[test]
fn reordered_nc_values_are_accepted_once_each() {
    let mut server = server(10);
    let nonce = nonce_of(&server.challenge(false, SOURCE, NOW)[0]);
    for (nc, expected) in [
        ("00000005", DigestVerification::Valid),
        ("00000003", DigestVerification::Valid),
        ("00000003", DigestVerification::Rejected(DigestRejectReason::Replayed)),
        ("00000100", DigestVerification::Valid),
        ("00000005", DigestVerification::Rejected(DigestRejectReason::Replayed)),
        ("000000ff", DigestVerification::Valid),
    ] {
        let credentials = TestCredentials { nc: Some(nc), ..TestCredentials::valid(&nonce) };
        assert_eq!(credentials.verify(&mut server, NOW), expected, "{nc}");
    }
}

#[test]
fn unknown_users_foreign_nonces_and_uris_of_other_users_are_rejected() {
    let mut server = server(10);
    let nonce = nonce_of(&server.challenge(false, SOURCE, NOW)[0]);
    let unknown_user = TestCredentials { user: "mallory", ..TestCredentials::valid(&nonce) };
    assert_eq!(
        unknown_user.verify(&mut server, NOW),
        DigestVerification::Rejected(DigestRejectReason::UnknownUser)
    );
    let other_user = TestCredentials { uri: "sip:other@callee.test", ..TestCredentials::valid(&nonce) };
    assert_eq!(
        other_user.verify(&mut server, NOW),
        DigestVerification::Rejected(DigestRejectReason::UriMismatch)
    );
    let remembered = server.remembered_nonces();
    let mut forged = nonce.clone();
    forged.replace_range(15..16, if &nonce[15..16] == "0" { "1" } else { "0" });
    assert_eq!(
        TestCredentials::valid(&forged).verify(&mut server, NOW),
        DigestVerification::Rejected(DigestRejectReason::ForeignNonce)
    );
    assert_eq!(server.remembered_nonces(), remembered, "rejected credentials use up no count");
}

#[test]
fn a_digest_uri_may_differ_from_the_request_uri_in_host_port_and_parameters() {
    let mut server = server(10);
    let nonce = nonce_of(&server.challenge(false, SOURCE, NOW)[0]);
    for (count, uri) in (1..).zip([
        "sip:callee.test:5060",
        "sip:elsewhere.test",
        "sip:desk@198.51.100.20:5080;transport=udp",
        "sips:desk@callee.test",
        "sip:desk;tgrp=east@callee.test;user=phone",
    ]) {
        let nc = format!("{count:08x}");
        let credentials = TestCredentials { uri, nc: Some(&nc), ..TestCredentials::valid(&nonce) };
        assert_eq!(credentials.verify(&mut server, NOW), DigestVerification::Valid, "{uri}");
    }
    let matches = |presented: &str, requested: &str| {
        server::uri_matches(presented, &crate::message::Uri::parse(requested).unwrap())
    };
    assert!(matches("sip:15550100123@a.test", "sip:+1-555-0100123;npdi@b.test;user=phone"));
    assert!(matches("tel:+15550100123", "sip:+15550100123@b.test"));
    assert!(matches("sip:0015550100123@sbc.test", "sip:+15550100123@b.test"));
    assert!(matches("sip:5550100123;phone-context=+1@a.test", "sip:+15550100123@b.test"));
    assert!(matches("+15550100123", "sip:+15550100123@b.test"));
    assert!(!matches("+15550100124", "sip:+15550100123@b.test"));
    assert!(!matches("sip:+15550100124@a.test", "sip:+15550100123@a.test"));
    assert!(!matches("not a URI", "sip:desk@a.test"));
}

#[test]
fn a_server_may_offer_one_algorithm_and_then_accepts_no_other() {
    for (algorithms, offered, other) in [
        (DigestAlgorithms::Md5, Algorithm::Md5, Algorithm::Sha256),
        (DigestAlgorithms::Sha256, Algorithm::Sha256, Algorithm::Md5),
    ] {
        let mut server = server_with(10, algorithms);
        let challenges = server.challenge(false, SOURCE, NOW);
        let [challenge] = challenges.as_slice() else { panic!("one challenge") };
        assert!(challenge.as_str().contains(&format!("algorithm={}", offered.name())));
        let nonce = nonce_of(challenge);
        let accepted = TestCredentials { algorithm: offered, ..TestCredentials::valid(&nonce) };
        assert_eq!(accepted.verify(&mut server, NOW), DigestVerification::Valid);
        let ignored = TestCredentials { algorithm: other, ..TestCredentials::valid(&nonce) }.request();
        assert!(matches!(server.read_authorization(ignored.headers()), AuthorizationHeader::Absent));
    }
}

#[test]
fn debug_output_contains_no_digest_response() {
    let mut server = server(10);
    let nonce = nonce_of(&server.challenge(false, SOURCE, NOW)[0]);
    let request = TestCredentials::valid(&nonce).request();
    let AuthorizationHeader::Credentials(credentials) = server.read_authorization(request.headers()) else {
        panic!("credentials")
    };
    let shown = format!("{request:?} {credentials:?}");
    assert!(shown.contains("Authorization: [redacted]") && shown.contains("alice"), "{shown}");
    let header = request.headers().first(crate::message::KnownHeader::Authorization).unwrap();
    let digest = DigestParams::parse(header).unwrap().get("response").unwrap().to_owned();
    assert!(!shown.contains(&digest), "{shown}");
}

#[test]
fn other_schemes_and_realms_are_ignored_and_invalid_digests_are_malformed() {
    let server = server(1);
    assert!(matches!(server.read_authorization(invite("Basic YTpi").headers()), AuthorizationHeader::Absent));
    assert!(matches!(
        server.read_authorization(invite("Digest realm=\"elsewhere\"").headers()),
        AuthorizationHeader::Absent
    ));
    let incomplete = format!("Digest realm=\"{REALM}\", username=\"alice\"");
    assert!(matches!(
        server.read_authorization(invite(&incomplete).headers()),
        AuthorizationHeader::Malformed
    ));
    for (nc, valid) in [("0000000a", true), ("a", false), ("+0000001", false), ("000000001", false)] {
        let text = format!(
            "Digest realm=\"{REALM}\", username=\"alice\", nonce=\"n\", uri=\"sip:x\", response=\"r\", qop=auth, \
             cnonce=\"c\", nc={nc}"
        );
        assert_eq!(
            matches!(server.read_authorization(invite(&text).headers()), AuthorizationHeader::Credentials(_)),
            valid,
            "{nc}"
        );
    }
}

#[test]
fn the_client_answers_the_strongest_challenge_in_any_order() {
    for strongest_first in [false, true] {
        answer_in_order(strongest_first);
    }
}

fn answer_in_order(strongest_first: bool) {
    let mut server = server(10);
    let mut offered = server.challenge(false, SOURCE, NOW);
    if strongest_first {
        offered.reverse();
    }
    let [first, second] = offered.as_slice() else { panic!("two challenges") };
    let challenges =
        format!("WWW-Authenticate: {}\r\nWWW-Authenticate: {}\r\n", first.as_str(), second.as_str());
    let text = format!(
        "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK1\r\nFrom: <sip:a@b.test>;tag=1\r\n\
         To: <sip:c@d.test>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n{challenges}\r\n"
    );
    let Ok(Message::Response(response)) = parse_datagram(text.as_bytes()) else { panic!("a response") };
    let response: &Response = &response;
    let credentials =
        ClientCredentials { username: "alice".to_owned(), password: Password::new("open sesame") };
    let answer =
        answer_challenge(response, &credentials, &Method::Invite, "sip:desk@callee.test", "cafe").unwrap();
    assert!(answer.value.contains("algorithm=SHA-256"), "{}", answer.value);
    let request = invite(&answer.value);
    let AuthorizationHeader::Credentials(presented) = server.read_authorization(request.headers()) else {
        panic!("credentials")
    };
    assert_eq!(server.verify(&presented, &request, SOURCE, Some(&ha1()), NOW), DigestVerification::Valid);
}
