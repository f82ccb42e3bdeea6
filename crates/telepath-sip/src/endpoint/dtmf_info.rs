//! DTMF in INFO requests: `application/dtmf-relay` (`Signal=5`, `Duration=160`) and `application/dtmf` (the signal alone). No
//! RFC defines them; these are the forms that carriers and telephones send.

use std::time::Duration;

/// A signal of an INFO request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtmfSignal {
    /// A key: `0` to `9`, `*`, `#` or `A` to `D`.
    Key {
        /// The key, in upper case.
        key: char,
        /// How long it was held, if the request says so.
        duration: Option<Duration>,
    },
    /// Hook flash.
    Flash,
}

/// The signal of a body; `None` if it is malformed.
pub(super) fn parse(content_type: &str, body: &[u8]) -> Option<DtmfSignal> {
    let text = String::from_utf8_lossy(body);
    let (mut signal, mut duration) = (None, None);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.split_once('=').or_else(|| line.split_once(':')) {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("signal") => signal = Some(value.trim()),
            Some((name, value)) if name.trim().eq_ignore_ascii_case("duration") => {
                duration = value.trim().parse().ok().map(Duration::from_millis);
            }
            Some(_) => {}
            None if content_type == "application/dtmf" && signal.is_none() => signal = Some(line),
            None => return None,
        }
    }
    match signal? {
        "!" | "16" => Some(DtmfSignal::Flash),
        text if text.eq_ignore_ascii_case("flash") || text.eq_ignore_ascii_case("hf") => {
            Some(DtmfSignal::Flash)
        }
        text => key(text).map(|key| DtmfSignal::Key { key, duration }),
    }
}

/// A key, also as the event code of RFC 4733 (10 to 15 are `*`, `#` and `A` to `D`).
fn key(text: &str) -> Option<char> {
    let mut chars = text.chars();
    match (chars.next()?.to_ascii_uppercase(), chars.next()) {
        (key, None) if matches!(key, '0'..='9' | '*' | '#' | 'A'..='D') => Some(key),
        ('1', Some(second)) if text.len() == 2 => {
            "*#ABCD".chars().nth(usize::try_from(second.to_digit(10)?).ok()?)
        }
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(body: &str) -> Option<DtmfSignal> {
        parse("application/dtmf-relay", body.as_bytes())
    }

    #[expect(clippy::unnecessary_wraps, reason = "compared with an optional result")]
    fn held(key: char, millis: Option<u64>) -> Option<DtmfSignal> {
        Some(DtmfSignal::Key { key, duration: millis.map(Duration::from_millis) })
    }

    #[test]
    fn signals_of_dtmf_relay_are_read_in_the_spellings_of_carriers() {
        assert_eq!(relay("Signal=5\r\nDuration=160\r\n"), held('5', Some(160)));
        assert_eq!(relay("signal= #\nduration = 250"), held('#', Some(250)));
        assert_eq!(relay("Signal=*\r\n"), held('*', None));
        assert_eq!(relay("Duration=100\r\nSignal=d\r\n\r\n"), held('D', Some(100)));
        assert_eq!(relay("Signal=10\r\nDuration=160"), held('*', Some(160)));
        assert_eq!(relay("Signal=11"), held('#', None));
        assert_eq!(relay("Signal=15"), held('D', None));
        assert_eq!(relay("Signal=16"), Some(DtmfSignal::Flash));
        assert_eq!(relay("Signal=5\r\nDuration=long"), held('5', None));
    }

    #[test]
    fn an_application_dtmf_body_is_the_signal_alone() {
        let dtmf = |body: &str| parse("application/dtmf", body.as_bytes());
        assert_eq!(dtmf("7"), held('7', None));
        assert_eq!(dtmf(" #\r\n"), held('#', None));
        assert_eq!(dtmf("Signal=3\r\nDuration=90\r\n"), held('3', Some(90)));
        assert_eq!(dtmf("!"), Some(DtmfSignal::Flash));
    }

    #[test]
    fn malformed_signals_are_no_signal() {
        for body in ["", "Signal=", "Signal=E", "Signal=55", "Signal=17", "5", "Duration=160", "Signal=1é"] {
            assert_eq!(relay(body), None, "{body:?}");
        }
        assert_eq!(parse("application/dtmf", b"\xff"), None);
        assert_eq!(parse("application/dtmf-relay", b"Signal=5\r\nX-Label=caf\xe9\r\n"), held('5', None));
        assert_eq!(parse("application/dtmf", b"12345"), None);
    }
}
