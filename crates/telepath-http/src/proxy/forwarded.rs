//! The `Forwarded` header (RFC 7239).

use std::net::IpAddr;

use http::HeaderMap;
use http::header::FORWARDED;

use super::{Scheme, parse_address};

/// One element: what a proxy says about the request that it received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Element {
    /// Who sent the request to the proxy; `None` if it is not told, unknown or obfuscated (section 6.3).
    pub(super) sender: Option<IpAddr>,
    /// The protocol of the request.
    pub(super) scheme: Option<Scheme>,
}

/// The header is not well-formed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The elements of all fields, that of the first proxy first. Empty if there is no such header.
pub(super) fn elements(headers: &HeaderMap) -> Result<Vec<Element>, Malformed> {
    let mut elements = Vec::new();
    for field in headers.get_all(FORWARDED) {
        let mut rest = field.to_str().map_err(|_| Malformed)?;
        loop {
            let element;
            (element, rest) = parse_element(rest)?;
            elements.extend(element);
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None => break,
            }
        }
    }
    Ok(elements)
}

/// Parses `[pair] *( ";" [pair] )` up to a comma or the end. An empty element is legal in a list and tells nothing.
fn parse_element(mut rest: &str) -> Result<(Option<Element>, &str), Malformed> {
    let mut element = None;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with([',', ';']) {
            let (name, after) = rest.split_once('=').ok_or(Malformed)?;
            let (value, after) = parse_value(after)?;
            if !is_token(name) {
                return Err(Malformed);
            }
            let known = element.get_or_insert_with(Element::default);
            if name.eq_ignore_ascii_case("for") {
                known.sender = parse_address(&value);
            } else if name.eq_ignore_ascii_case("proto") {
                known.scheme = Scheme::parse(&value);
            }
            rest = after.trim_start_matches([' ', '\t']);
        }
        match rest.strip_prefix(';') {
            Some(next) => rest = next,
            None if rest.is_empty() || rest.starts_with(',') => return Ok((element, rest)),
            None => return Err(Malformed),
        }
    }
}

/// A token or a quoted string, and what follows it.
fn parse_value(text: &str) -> Result<(String, &str), Malformed> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (token, rest) = text.split_at(text.find([';', ',', ' ', '\t']).unwrap_or(text.len()));
        return if is_token(token) { Ok((token.to_owned(), rest)) } else { Err(Malformed) };
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next().ok_or(Malformed)?.1),
            other => value.push(other),
        }
    }
    Err(Malformed)
}

/// `token` (RFC 9110 section 5.6.2).
fn is_token(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (Option<String>, Option<Scheme>);

    fn parsed(fields: &[&str]) -> Result<Vec<Read>, Malformed> {
        let headers = fields.iter().map(|field| (FORWARDED, field.parse().unwrap())).collect();
        let text = |element: Element| (element.sender.map(|sender| sender.to_string()), element.scheme);
        elements(&headers).map(|all| all.into_iter().map(text).collect())
    }

    fn of(sender: &str, scheme: Option<Scheme>) -> (Option<String>, Option<Scheme>) {
        (Some(sender.to_owned()), scheme)
    }

    #[test]
    fn the_examples_of_rfc_7239_are_parsed() {
        let nobody = (None, None);
        assert_eq!(parsed(&[r#"for="_gazonk""#]), Ok(vec![nobody.clone()]));
        assert_eq!(parsed(&[r#"For="[2001:db8:cafe::17]:4711""#]), Ok(vec![of("2001:db8:cafe::17", None)]));
        assert_eq!(
            parsed(&["for=192.0.2.60;proto=http;by=203.0.113.43"]),
            Ok(vec![of("192.0.2.60", Some(Scheme::Http))])
        );
        assert_eq!(
            parsed(&["for=192.0.2.43, for=198.51.100.17"]),
            Ok(vec![of("192.0.2.43", None), of("198.51.100.17", None)])
        );
        assert_eq!(
            parsed(&["for=192.0.2.43", r#"for="[2001:db8:cafe::17]", for=unknown"#]),
            Ok(vec![of("192.0.2.43", None), of("2001:db8:cafe::17", None), nobody])
        );
        assert_eq!(parsed(&[]), Ok(vec![]));
    }

    #[test]
    fn names_and_protocols_are_case_insensitive_and_blanks_are_allowed_around_separators() {
        assert_eq!(
            parsed(&["FOR=\"192.0.2.1:99\" ; Proto=HTTPS , \t;,host=x;for=192.0.2.2"]),
            Ok(vec![of("192.0.2.1", Some(Scheme::Https)), of("192.0.2.2", None)])
        );
        assert_eq!(parsed(&[r#"proto="h\ttps""#]), Ok(vec![(None, Some(Scheme::Https))]));
        assert_eq!(parsed(&["proto=gopher"]), Ok(vec![(None, None)]));
    }

    #[test]
    fn malformed_fields_are_refused_as_a_whole() {
        for bad in [
            "for",
            "for=",
            "=192.0.2.1",
            "for=[2001:db8::1]",
            r#"for="192.0.2.1"#,
            r#"for="192.0.2.1\"#,
            r#"for="a"b"#,
            "for = 192.0.2.1",
            "for=192.0.2.1 proto=https",
            "for=192.0.2.1:80",
        ] {
            assert_eq!(parsed(&[bad]), Err(Malformed), "{bad}");
            assert_eq!(parsed(&["for=192.0.2.1", bad]), Err(Malformed), "{bad}");
        }
    }
}
