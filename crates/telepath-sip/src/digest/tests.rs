//! Published examples, and what a server must not be talked into.

use super::*;
use crate::message::{Message, Request, Response, parse_datagram};

const REALM: &str = "telepath.test";
const LIFETIME: u64 = 60;
const NOW: EpochSeconds = EpochSeconds(1_800_000_000);

fn server(max_nonces: usize) -> DigestServer {
    let realm = Realm::new(REALM);
    let config = DigestConfig { realm, nonce_lifetime_seconds: LIFETIME, max_nonces };
    DigestServer::new(config, NonceSecret::new([7; 32]), [8; 32])
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

/// What a client sends that knows its password.
struct Proof<'a> {
    user: &'a str,
    password: &'a str,
    algorithm: Algorithm,
    nonce: &'a str,
    nc: Option<&'a str>,
    uri: &'a str,
}

impl<'a> Proof<'a> {
    fn right(nonce: &'a str) -> Self {
        Proof {
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
        let answer = response(key, self.nonce, qop, &Method::Invite, self.uri);
        let qop = self.nc.map(|nc| format!(", qop=auth, nc={nc}, cnonce=\"c0ffee\"")).unwrap_or_default();
        invite(&format!(
            "Digest username=\"{}\", realm=\"{REALM}\", nonce=\"{}\", uri=\"{}\", response=\"{answer}\", algorithm={}{qop}",
            self.user,
            self.nonce,
            self.uri,
            self.algorithm.name()
        ))
    }

    fn judge(&self, server: &mut DigestServer, now: EpochSeconds) -> DigestVerification {
        let request = self.request();
        let AuthorizationHeader::Credentials(credentials) = server.read_authorization(&request) else {
            panic!("credentials")
        };
        let known = ha1();
        let known = (credentials.username() == "alice").then_some(&known);
        server.verify(&credentials, &request, known, now)
    }
}

#[test]
fn the_examples_of_rfc_7616_section_3_9_1_come_out() {
    let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    let qop = Some(Qop { nc: "00000001", cnonce });
    let method = Method::parse("GET").unwrap();
    let made = |algorithm| {
        let key = Ha1::derive(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life");
        response(key, nonce, qop, &method, "/dir/index.html")
    };
    assert_eq!(made(Algorithm::Md5), "8ca523f5e9506fed4657c9700eebdbec");
    assert_eq!(made(Algorithm::Sha256), "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
}

#[test]
fn the_example_of_rfc_2617_section_3_5_comes_out() {
    let key = Ha1::derive(Algorithm::Md5, "Mufasa", "testrealm@host.com", "Circle Of Life");
    let qop = Some(Qop { nc: "00000001", cnonce: "0a4f113b" });
    let method = Method::parse("GET").unwrap();
    let made = response(key, "dcd98b7102dd2f0e8b11d0f600bfb0c093", qop, &method, "/dir/index.html");
    assert_eq!(made, "6629fae49393a05397450978507c4ef1");
    assert_eq!(key.to_hex(), "939e7578ed9e3c518a452acee763bce9");
    assert!(Ha1::from_hex(Algorithm::Md5, "939e7578ed9e3c518a452acee763bce9").is_some());
    assert!(Ha1::from_hex(Algorithm::Sha256, "939e7578ed9e3c518a452acee763bce9").is_none());
}

#[test]
fn both_algorithms_are_offered_and_both_are_granted() {
    let mut server = server(10);
    let challenges = server.challenge(false, NOW);
    assert_eq!(challenges.len(), 2);
    assert!(challenges[0].as_str().contains("algorithm=MD5"));
    assert!(challenges[1].as_str().contains("algorithm=SHA-256"));
    let nonce = nonce_of(&challenges[0]);
    assert_eq!(Proof::right(&nonce).judge(&mut server, NOW), DigestVerification::Valid);
    let md5 = Proof { algorithm: Algorithm::Md5, nc: Some("00000002"), ..Proof::right(&nonce) };
    assert_eq!(md5.judge(&mut server, NOW), DigestVerification::Valid);
}

#[test]
fn counts_go_on_beyond_nine_in_hexadecimal_and_none_serves_twice() {
    let mut server = server(10);
    let nonce = nonce_of(&server.challenge(false, NOW)[0]);
    for count in 1..=300_u32 {
        let nc = format!("{count:08x}");
        let proof = Proof { nc: Some(&nc), ..Proof::right(&nonce) };
        assert_eq!(proof.judge(&mut server, NOW), DigestVerification::Valid, "{nc}");
        assert_eq!(
            proof.judge(&mut server, NOW),
            DigestVerification::Rejected(DigestRejectReason::Replayed),
            "{nc}"
        );
    }
    let late = Proof { nc: Some("00000001"), ..Proof::right(&nonce) };
    assert_eq!(late.judge(&mut server, NOW), DigestVerification::Rejected(DigestRejectReason::Replayed));
}

#[test]
fn counts_that_overtake_each_other_pass_once_each() {
    let mut server = server(10);
    let nonce = nonce_of(&server.challenge(false, NOW)[0]);
    for (nc, expected) in [
        ("00000005", DigestVerification::Valid),
        ("00000003", DigestVerification::Valid),
        ("00000003", DigestVerification::Rejected(DigestRejectReason::Replayed)),
        ("00000100", DigestVerification::Valid),
        ("00000005", DigestVerification::Rejected(DigestRejectReason::Replayed)),
        ("000000ff", DigestVerification::Valid),
    ] {
        let proof = Proof { nc: Some(nc), ..Proof::right(&nonce) };
        assert_eq!(proof.judge(&mut server, NOW), expected, "{nc}");
    }
}

#[test]
fn an_old_nonce_is_stale_only_for_who_knows_the_password() {
    let mut server = server(10);
    let nonce = nonce_of(&server.challenge(false, NOW)[0]);
    let later = EpochSeconds(NOW.0 + LIFETIME);
    assert_eq!(Proof::right(&nonce).judge(&mut server, later), DigestVerification::Stale);
    let wrong = Proof { password: "guess", ..Proof::right(&nonce) };
    assert_eq!(
        wrong.judge(&mut server, later),
        DigestVerification::Rejected(DigestRejectReason::WrongResponse)
    );
    assert!(server.challenge(true, later)[0].as_str().ends_with("stale=true"));
}

#[test]
fn a_nonce_without_qop_serves_once() {
    let mut server = server(10);
    let nonce = nonce_of(&server.challenge(false, NOW)[0]);
    let proof = Proof { algorithm: Algorithm::Md5, nc: None, ..Proof::right(&nonce) };
    assert_eq!(proof.judge(&mut server, NOW), DigestVerification::Valid);
    assert_eq!(proof.judge(&mut server, NOW), DigestVerification::Stale);
}

#[test]
fn unknown_users_foreign_nonces_and_other_uris_are_refused() {
    let mut server = server(10);
    let nonce = nonce_of(&server.challenge(false, NOW)[0]);
    let stranger = Proof { user: "mallory", ..Proof::right(&nonce) };
    assert_eq!(
        stranger.judge(&mut server, NOW),
        DigestVerification::Rejected(DigestRejectReason::UnknownUser)
    );
    let elsewhere = Proof { uri: "sip:other@callee.test", ..Proof::right(&nonce) };
    assert_eq!(
        elsewhere.judge(&mut server, NOW),
        DigestVerification::Rejected(DigestRejectReason::UriMismatch)
    );
    let server_only = Proof { uri: "sip:callee.test:5060", ..Proof::right(&nonce) };
    assert_eq!(server_only.judge(&mut server, NOW), DigestVerification::Valid);
    let other_server = Proof { uri: "sip:elsewhere.test", nc: Some("00000002"), ..Proof::right(&nonce) };
    assert_eq!(
        other_server.judge(&mut server, NOW),
        DigestVerification::Rejected(DigestRejectReason::UriMismatch)
    );
    let spent = server.remembered_nonces();
    let mut forged = nonce.clone();
    forged.replace_range(15..16, if &nonce[15..16] == "0" { "1" } else { "0" });
    assert_eq!(
        Proof::right(&forged).judge(&mut server, NOW),
        DigestVerification::Rejected(DigestRejectReason::ForeignNonce)
    );
    assert_eq!(server.remembered_nonces(), spent, "a refused proof spends no count");
}

#[test]
fn a_full_table_forgets_the_oldest_nonce_and_never_takes_it_again() {
    let mut server = server(2);
    let nonces: Vec<String> =
        (0..4).map(|n| nonce_of(&server.challenge(false, EpochSeconds(NOW.0 + n))[0])).collect();
    let now = EpochSeconds(NOW.0 + 5);
    for nonce in &nonces {
        assert_eq!(Proof::right(nonce).judge(&mut server, now), DigestVerification::Valid);
        assert!(server.remembered_nonces() <= 2);
    }
    assert_eq!(Proof::right(&nonces[0]).judge(&mut server, now), DigestVerification::Stale);
    assert_eq!(
        Proof::right(&nonces[3]).judge(&mut server, now),
        DigestVerification::Rejected(DigestRejectReason::Replayed)
    );
}

#[test]
fn what_is_printed_for_debugging_holds_no_proof() {
    let mut server = server(10);
    let nonce = nonce_of(&server.challenge(false, NOW)[0]);
    let request = Proof::right(&nonce).request();
    let AuthorizationHeader::Credentials(credentials) = server.read_authorization(&request) else {
        panic!("credentials")
    };
    let shown = format!("{request:?} {credentials:?}");
    assert!(shown.contains("Authorization: [redacted]") && shown.contains("alice"), "{shown}");
    let header = request.headers().first(crate::message::KnownHeader::Authorization).unwrap();
    let proof = DigestParams::parse(header).unwrap().get("response").unwrap().to_owned();
    assert!(!shown.contains(&proof), "{shown}");
}

#[test]
fn other_schemes_and_realms_present_nothing_and_broken_digests_are_malformed() {
    let server = server(1);
    assert!(matches!(server.read_authorization(&invite("Basic YTpi")), AuthorizationHeader::Absent));
    assert!(matches!(
        server.read_authorization(&invite("Digest realm=\"elsewhere\"")),
        AuthorizationHeader::Absent
    ));
    let broken = format!("Digest realm=\"{REALM}\", username=\"alice\"");
    assert!(matches!(server.read_authorization(&invite(&broken)), AuthorizationHeader::Malformed));
    for (nc, sound) in [("0000000a", true), ("a", false), ("+0000001", false), ("000000001", false)] {
        let text = format!(
            "Digest realm=\"{REALM}\", username=\"alice\", nonce=\"n\", uri=\"sip:x\", response=\"r\", qop=auth, \
             cnonce=\"c\", nc={nc}"
        );
        assert_eq!(
            matches!(server.read_authorization(&invite(&text)), AuthorizationHeader::Credentials(_)),
            sound,
            "{nc}"
        );
    }
}

#[test]
fn the_client_answers_the_strongest_challenge_and_the_server_grants_it() {
    let mut server = server(10).strongest_first();
    let offered = server.challenge(false, NOW);
    let [strong, weak] = offered.as_slice() else { panic!("two challenges") };
    let (strong, weak) = (strong.as_str(), weak.as_str());
    let challenges = format!("WWW-Authenticate: {weak}\r\nWWW-Authenticate: {strong}\r\n");
    let text = format!(
        "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK1\r\nFrom: <sip:a@b.test>;tag=1\r\n\
         To: <sip:c@d.test>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n{challenges}\r\n"
    );
    let Ok(Message::Response(refusal)) = parse_datagram(text.as_bytes()) else { panic!("a response") };
    let refusal: &Response = &refusal;
    let credentials =
        ClientCredentials { username: "alice".to_owned(), password: Password::new("open sesame") };
    let answer =
        answer_challenge(refusal, &credentials, &Method::Invite, "sip:desk@callee.test", "cafe").unwrap();
    assert!(answer.value.contains("algorithm=SHA-256"), "{}", answer.value);
    let request = invite(&answer.value);
    let AuthorizationHeader::Credentials(presented) = server.read_authorization(&request) else {
        panic!("credentials")
    };
    assert_eq!(server.verify(&presented, &request, Some(&ha1()), NOW), DigestVerification::Valid);
}
