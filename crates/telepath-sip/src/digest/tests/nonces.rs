//! How long, from where and how often a nonce is accepted.

use super::*;

#[test]
fn an_expired_nonce_is_stale_only_with_a_correct_response() {
    let mut server = server(10);
    let nonce = nonce_of(&server.challenge(false, SOURCE, NOW)[0]);
    let later = EpochSeconds(NOW.0 + LIFETIME);
    assert_eq!(TestCredentials::valid(&nonce).verify(&mut server, later), DigestVerification::Stale);
    let wrong = TestCredentials { password: "guess", ..TestCredentials::valid(&nonce) };
    assert_eq!(
        wrong.verify(&mut server, later),
        DigestVerification::Rejected(DigestRejectReason::WrongResponse)
    );
    assert!(server.challenge(true, SOURCE, later)[0].as_str().ends_with("stale=true"));
}

#[test]
fn a_nonce_without_qop_is_accepted_once() {
    let mut server = server(10);
    let nonce = nonce_of(&server.challenge(false, SOURCE, NOW)[0]);
    let credentials =
        TestCredentials { algorithm: Algorithm::Md5, nc: None, ..TestCredentials::valid(&nonce) };
    assert_eq!(credentials.verify(&mut server, NOW), DigestVerification::Valid);
    assert_eq!(credentials.verify(&mut server, NOW), DigestVerification::Stale);
}

#[test]
fn an_evicted_nonce_is_never_accepted_again() {
    let mut server = server(2);
    let nonces: Vec<String> =
        (0..4).map(|n| nonce_of(&server.challenge(false, SOURCE, EpochSeconds(NOW.0 + n))[0])).collect();
    let now = EpochSeconds(NOW.0 + 5);
    for nonce in &nonces {
        assert_eq!(TestCredentials::valid(nonce).verify(&mut server, now), DigestVerification::Valid);
        assert!(server.remembered_nonces() <= 2);
    }
    assert_eq!(TestCredentials::valid(&nonces[0]).verify(&mut server, now), DigestVerification::Stale);
    assert_eq!(
        TestCredentials::valid(&nonces[3]).verify(&mut server, now),
        DigestVerification::Rejected(DigestRejectReason::Replayed)
    );
}

#[test]
fn a_nonce_is_accepted_only_from_the_address_that_it_was_issued_to_and_only_while_it_lives() {
    let address = |text: &str| -> IpAddr { text.parse().unwrap() };
    let mut server = server(10);
    for (issued_to, same, other) in [
        ("198.51.100.7", "::ffff:198.51.100.7", "198.51.100.8"),
        ("2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:2::1"),
    ] {
        let nonce = nonce_of(&server.challenge(false, address(issued_to), NOW)[0]);
        let request = TestCredentials::valid(&nonce).request();
        let AuthorizationHeader::Credentials(credentials) = server.read_authorization(request.headers())
        else {
            panic!("credentials")
        };
        assert!(server.has_live_nonce(&credentials, address(same), NOW));
        assert!(!server.has_live_nonce(&credentials, address(same), EpochSeconds(NOW.0 + LIFETIME)));
        assert!(!server.has_live_nonce(&credentials, address(other), NOW));
        let foreign = DigestVerification::Rejected(DigestRejectReason::ForeignNonce);
        assert_eq!(server.verify(&credentials, &request, address(other), Some(&ha1()), NOW), foreign);
        assert_eq!(server.verify(&credentials, &request, address(other), None, NOW), foreign);
        let valid = server.verify(&credentials, &request, address(same), Some(&ha1()), NOW);
        assert_eq!(valid, DigestVerification::Valid);
    }
}

#[test]
fn a_wrong_response_over_a_foreign_nonce_is_a_foreign_nonce() {
    let mut server = server(10);
    let invented = TestCredentials { password: "guess", ..TestCredentials::valid("invented") };
    let foreign = DigestVerification::Rejected(DigestRejectReason::ForeignNonce);
    assert_eq!(invented.verify(&mut server, NOW), foreign);
    assert_eq!(TestCredentials { user: "mallory", ..invented }.verify(&mut server, NOW), foreign);
}

#[test]
fn credentials_for_the_nonce_of_another_server_or_an_earlier_start_are_stale_and_cannot_be_replayed() {
    let mut issuer = server(10);
    let nonce = nonce_of(&issuer.challenge(false, SOURCE, NOW)[0]);
    let credentials = TestCredentials::valid(&nonce);
    let mut other = DigestServer::new(config(10, DigestAlgorithms::Both), NonceSecret::new([7; 32]), 9);
    assert_eq!(credentials.verify(&mut other, NOW), DigestVerification::Stale, "not yet used");
    assert_eq!(credentials.verify(&mut issuer, NOW), DigestVerification::Valid);
    assert_eq!(credentials.verify(&mut other, NOW), DigestVerification::Stale, "replayed");
    let wrong = TestCredentials { password: "guess", ..TestCredentials::valid(&nonce) };
    let rejected = DigestVerification::Rejected(DigestRejectReason::WrongResponse);
    assert_eq!(wrong.verify(&mut other, NOW), rejected);
    let request = credentials.request();
    let AuthorizationHeader::Credentials(parsed) = other.read_authorization(request.headers()) else {
        panic!("credentials")
    };
    assert!(other.has_live_nonce(&parsed, SOURCE, NOW), "it proves the address of its sender everywhere");
}
