//! Parsers for setting values. Each error states the expected form.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// A range of UDP ports for RTP, inclusive. The first port is even (RFC 3550 section 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

/// `IP:PORT`.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "must be IP:PORT such as 127.0.0.1:8443 or [::1]:8443 (port 0 lets the system choose)".to_owned()
    })
}

/// One or more `IP:PORT`, with commas between them.
pub(super) fn addresses(text: &str) -> Result<Vec<SocketAddr>, String> {
    let mut found = Vec::new();
    for item in text.split(',') {
        let item = address(item.trim())?;
        if item.port() != 0 && found.contains(&item) {
            return Err(format!("names {item} twice"));
        }
        found.push(item);
    }
    Ok(found)
}

/// `IP:PORT`, or `None` for `off`.
pub(super) fn address_or_off(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "off" {
        return Ok(None);
    }
    address(text).map(Some).map_err(|message| format!("{message}, or off"))
}

/// `IP:PORT` on a loopback address.
pub(super) fn loopback_address(text: &str) -> Result<SocketAddr, String> {
    let address = address(text)?;
    if address.ip().to_canonical().is_loopback() {
        Ok(address)
    } else {
        Err("must be a loopback address such as 127.0.0.1:8080: plain HTTP exposes API keys to the network"
            .to_owned())
    }
}

/// A contact URI for `security.txt` (RFC 9116 section 2.5.3).
pub(super) fn contact(text: &str) -> Result<String, String> {
    let known = ["mailto:", "https://", "tel:"].iter().any(|scheme| text.starts_with(scheme));
    if known && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("must be a URI such as mailto:security@voice.example or https://voice.example/security"
            .to_owned())
    }
}

/// A host name (RFC 1123 section 2.1) or an IP address, without a port.
pub(super) fn host(text: &str) -> Result<String, String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() {
        return Ok(bare.to_owned());
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if text.len() <= 253 && text.split('.').all(label) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("must be a host name or an IP address, without scheme and port".to_owned())
    }
}

/// A whole number from `least` to `most`.
pub(super) fn count(text: &str, least: u32, most: u32) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("must be a whole number from {least} to {most}"))
}

/// `FIRST-LAST`.
pub(super) fn port_range(text: &str) -> Result<PortRange, String> {
    let wrong = || {
        "must be FIRST-LAST such as 20000-29999: within 1024 to 65535, the first even, at least two ports"
            .to_owned()
    };
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let (first, last) =
        (first.trim().parse::<u16>().map_err(|_| wrong())?, last.trim().parse::<u16>().map_err(|_| wrong())?);
    if first >= 1024 && first.is_multiple_of(2) && last > first {
        Ok(PortRange { first, last })
    } else {
        Err(wrong())
    }
}

/// A whole number with a unit: `ms`, `s`, `m`, `h` or `d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "must be a whole number with a unit: 500ms, 10s, 5m, 24h or 90d".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit_ms: u64 = match text[digits..].trim() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wrong)
}

/// In bytes.
const MAX_PREFIX: usize = 64;

/// A prefix for Redis keys. Braces are excluded because Redis Cluster gives them a meaning (hash tags).
pub(super) fn prefix(text: &str) -> Result<String, String> {
    let fits = text.len() <= MAX_PREFIX && text.bytes().all(|b| b.is_ascii_graphic() && !b"{}".contains(&b));
    if fits { Ok(text.to_owned()) } else { Err(format!("must be {}", super::Kind::Prefix.describe())) }
}

/// A non-empty path. Whether it exists is found out when it is used.
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(PathBuf::from(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("90d"), Ok(Duration::from_hours(90 * 24)));
        for wrong in ["", "10", "s", "1.5s", "-1s", "10 parsecs", "99999999999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn plain_http_is_limited_to_loopback_addresses() {
        for good in ["127.0.0.1:80", "127.9.9.9:0", "[::1]:8080"] {
            assert!(loopback_address(good).is_ok(), "{good}");
        }
        for wrong in ["0.0.0.0:80", "[::]:80", "192.0.2.1:80", "localhost:80"] {
            assert!(loopback_address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_with_a_scheme_or_port_are_rejected() {
        assert_eq!(host("Voice.Example").as_deref(), Ok("voice.example"));
        assert_eq!(host("[::1]").as_deref(), Ok("::1"));
        for wrong in ["https://voice.example", "voice.example:443", "", "a..b", "-a.example", "a b"] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn several_addresses_are_separated_by_commas() {
        let parsed = |text| addresses(text).map(|found| found.len());
        assert_eq!(parsed("0.0.0.0:5060"), Ok(1));
        assert_eq!(parsed("192.0.2.1:5060, [2001:db8::1]:5060"), Ok(2));
        assert_eq!(parsed("127.0.0.1:0,127.0.0.1:0"), Ok(2), "two free ports");
        for wrong in ["", "5060", "0.0.0.0:5060,", "0.0.0.0:5060,0.0.0.0:5060"] {
            assert!(addresses(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rtp_port_ranges_start_even_and_hold_at_least_two_ports() {
        assert_eq!(port_range("20000-20001"), Ok(PortRange { first: 20000, last: 20001 }));
        for wrong in ["20000", "20001-20010", "80-90", "20010-20000", "20000-20000", "20000-70000"] {
            assert!(port_range(wrong).is_err(), "{wrong}");
        }
    }
}
