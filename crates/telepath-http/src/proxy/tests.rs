use super::*;

/// The client behind a peer, or `None` if the request is refused. A header is given as `name: value`.
fn resolve(peer: &str, lines: &[&str], used: ForwardingHeaders) -> Option<ForwardedClient> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    let trusted = "10.0.0.0/8,2001:db8::/64".parse().unwrap();
    client_of(peer.parse().unwrap(), &headers, &trusted, used).ok()
}

fn behind_proxy(lines: &[&str]) -> Option<ForwardedClient> {
    resolve("10.0.0.1", lines, ForwardingHeaders::Any)
}

#[expect(clippy::unnecessary_wraps, reason = "compared with an optional result")]
fn client(address: &str, scheme: Option<Scheme>) -> Option<ForwardedClient> {
    Some(ForwardedClient { address: address.parse().unwrap(), scheme })
}

#[test]
fn forwarding_headers_from_untrusted_peers_are_ignored() {
    for lines in [
        &["x-forwarded-for: 203.0.113.9", "x-forwarded-proto: http"][..],
        &["forwarded: for=203.0.113.9;proto=http"],
        &["forwarded: nonsense"],
    ] {
        assert_eq!(resolve("192.0.2.1", lines, ForwardingHeaders::Any), client("192.0.2.1", None));
    }
}

#[test]
fn the_rightmost_untrusted_address_is_the_client() {
    let address = |lines: &[&str]| behind_proxy(lines).unwrap().address.to_string();
    assert_eq!(address(&["x-forwarded-for: 198.51.100.1, 203.0.113.9"]), "203.0.113.9");
    assert_eq!(address(&["x-forwarded-for: 203.0.113.9, 10.1.1.1"]), "203.0.113.9");
    assert_eq!(
        address(&["x-forwarded-for: 198.51.100.1", "x-forwarded-for: 203.0.113.9:4711"]),
        "203.0.113.9"
    );
    assert_eq!(address(&["x-forwarded-for: 203.0.113.9, nonsense"]), "10.0.0.1");
    assert_eq!(address(&["x-forwarded-for: 10.2.2.2, 10.1.1.1"]), "10.2.2.2");
    assert_eq!(address(&[]), "10.0.0.1");
    let mapped = resolve("::ffff:10.0.0.1", &["x-forwarded-for: [2001:db9::1]"], ForwardingHeaders::Any);
    assert_eq!(mapped, client("2001:db9::1", None));
}

#[test]
fn a_missing_or_unknown_protocol_is_no_evidence_of_plain_http() {
    for proto in
        [&[][..], &["x-forwarded-proto: "], &["x-forwarded-proto: gopher"], &["x-forwarded-proto: ,http"]]
    {
        let lines = [&["x-forwarded-for: 203.0.113.9"], proto].concat();
        assert_eq!(behind_proxy(&lines), client("203.0.113.9", None), "{lines:?}");
    }
    assert_eq!(behind_proxy(&["forwarded: for=203.0.113.9"]), client("203.0.113.9", None));
}

#[test]
fn the_first_x_forwarded_proto_is_that_of_the_clients_hop() {
    for (lines, scheme) in [
        (&["x-forwarded-proto: https"][..], Some(Scheme::Https)),
        (&["x-forwarded-proto: HTTPS"], Some(Scheme::Https)),
        (&["x-forwarded-proto: wss"], Some(Scheme::Https)),
        (&["x-forwarded-proto: https,http"], Some(Scheme::Https)),
        (&["x-forwarded-proto: https, http, http"], Some(Scheme::Https)),
        (&["x-forwarded-proto: https", "x-forwarded-proto: http"], Some(Scheme::Https)),
        (&["x-forwarded-proto: http"], Some(Scheme::Http)),
        (&["x-forwarded-proto: HTTP"], Some(Scheme::Http)),
        (&["x-forwarded-proto: http,https"], Some(Scheme::Http)),
        (&["x-forwarded-proto: http", "x-forwarded-proto: https"], Some(Scheme::Http)),
        (&["x-forwarded-proto: ws"], Some(Scheme::Http)),
    ] {
        let lines = [&["x-forwarded-for: 203.0.113.9"], lines].concat();
        assert_eq!(behind_proxy(&lines), client("203.0.113.9", scheme), "{lines:?}");
    }
}

#[test]
fn forwarded_reports_address_and_protocol_of_the_last_untrusted_sender() {
    for (field, address, scheme) in [
        ("for=203.0.113.9;proto=https", "203.0.113.9", Some(Scheme::Https)),
        ("for=203.0.113.9;proto=http", "203.0.113.9", Some(Scheme::Http)),
        ("for=203.0.113.9;proto=https, for=10.1.1.1;proto=http", "203.0.113.9", Some(Scheme::Https)),
        ("for=203.0.113.9;proto=http, for=10.1.1.1;proto=https", "203.0.113.9", Some(Scheme::Http)),
        ("for=198.51.100.1;proto=http, for=203.0.113.9;proto=https", "203.0.113.9", Some(Scheme::Https)),
        ("for=\"[2001:db9::1]:4711\";proto=https", "2001:db9::1", Some(Scheme::Https)),
        ("for=_hidden;proto=http, for=10.1.1.1;proto=https", "10.1.1.1", Some(Scheme::Http)),
        ("for=unknown;proto=https", "10.0.0.1", Some(Scheme::Https)),
        ("proto=http", "10.0.0.1", Some(Scheme::Http)),
    ] {
        assert_eq!(behind_proxy(&[&format!("forwarded: {field}")]), client(address, scheme), "{field}");
    }
}

#[test]
fn headers_that_contradict_each_other_are_refused_unless_the_settings_name_the_family() {
    let lines = ["x-forwarded-for: 203.0.113.9", "forwarded: for=198.51.100.1"];
    assert_eq!(behind_proxy(&lines), None);
    assert_eq!(resolve("10.0.0.1", &lines, ForwardingHeaders::XForwarded), client("203.0.113.9", None));
    assert_eq!(resolve("10.0.0.1", &lines, ForwardingHeaders::Forwarded), client("198.51.100.1", None));
    let lines = ["x-forwarded-proto: https", "forwarded: for=203.0.113.9;proto=http"];
    assert_eq!(behind_proxy(&lines), None);
    let agreeing = ["x-forwarded-for: 203.0.113.9", "x-forwarded-proto: http", "forwarded: for=203.0.113.9"];
    assert_eq!(behind_proxy(&agreeing), client("203.0.113.9", Some(Scheme::Http)));
    assert_eq!(behind_proxy(&["forwarded: for=\"203.0.113.9"]), None, "malformed");
    let unused = resolve("10.0.0.1", &["forwarded: for=\""], ForwardingHeaders::XForwarded);
    assert_eq!(unused, client("10.0.0.1", None));
}
