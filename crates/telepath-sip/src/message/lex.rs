//! The small lexical rules every header shares (RFC 3261 section 25.1): tokens, quoted strings, lists and
//! parameters. They work on text that is already unfolded and return `None` instead of guessing.

use std::fmt;

/// True for the characters of a `token` (RFC 3261 section 25.1).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

/// True when the text is a non-empty `token`.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Removes linear white space at both ends.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Splits at a separator that stands outside quoted strings and angle brackets.
///
/// `None` when a quote or a bracket is left open.
pub(crate) fn split_outside(text: &str, separator: u8) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut rest = Scan::default();
    for (at, byte) in text.bytes().enumerate() {
        if rest.outside() && byte == separator {
            parts.push(trim(&text[start..at]));
            start = at + 1;
            continue;
        }
        rest.step(byte)?;
    }
    if !rest.outside() {
        return None;
    }
    parts.push(trim(&text[start..]));
    Some(parts)
}

/// Where a scan over a header value stands.
#[derive(Default)]
struct Scan {
    quoted: bool,
    escaped: bool,
    bracket: bool,
}

impl Scan {
    fn outside(&self) -> bool {
        !self.quoted && !self.bracket
    }

    fn step(&mut self, byte: u8) -> Option<()> {
        if self.escaped {
            self.escaped = false;
        } else if self.quoted {
            match byte {
                b'\\' => self.escaped = true,
                b'"' => self.quoted = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' if !self.bracket => self.quoted = true,
                b'<' if self.bracket => return None,
                b'<' => self.bracket = true,
                b'>' if !self.bracket => return None,
                b'>' => self.bracket = false,
                _ => {}
            }
        }
        Some(())
    }
}

/// Length in bytes of the quoted string that opens the text, both quotes included.
pub(crate) fn quoted_len(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'"') {
        return None;
    }
    let mut escaped = false;
    for (at, byte) in bytes.iter().enumerate().skip(1) {
        if escaped {
            escaped = false;
        } else if *byte == b'\\' {
            escaped = true;
        } else if *byte == b'"' {
            return Some(at + 1);
        }
    }
    None
}

/// The text inside a quoted string, with the backslash escapes removed.
pub(crate) fn unquote(text: &str) -> Option<String> {
    if quoted_len(text)? != text.len() {
        return None;
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text[1..text.len() - 1].chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next()? } else { c });
    }
    Some(plain)
}

/// Writes text as a quoted string.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if c == '"' || c == '\\' {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// Undoes `%HH` escapes; a sequence that is not an escape is left as it is.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = (hex_at(bytes, at + 1), hex_at(bytes, at + 2));
        if let (b'%', (Some(high), Some(low))) = (bytes[at], pair) {
            plain.push(high << 4 | low);
            at += 3;
        } else {
            plain.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn hex_at(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied().and_then(hex_value)
}

fn hex_value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// A decimal number; `None` when it is not all digits or does not fit.
pub(crate) fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// The `;name=value` parameters of a header or of a URI, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<Param>);

/// One parameter: a name and, when there is one, its value as written (quotes and escapes kept).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    name: String,
    value: Option<String>,
}

impl Param {
    /// The name as written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value as written, if the parameter has one.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }
}

impl Params {
    /// Parses header parameters; the text starts at the first `;` or is empty.
    pub(crate) fn parse_header(text: &str) -> Option<Self> {
        Self::parse_with(text, is_header_value_byte)
    }

    /// Parses URI parameters, where no white space and no quotes may stand.
    pub(crate) fn parse_uri(text: &str) -> Option<Self> {
        if text.bytes().any(|b| b == b' ' || b == b'\t' || b == b'"') {
            return None;
        }
        Self::parse_with(text, is_uri_value_byte)
    }

    fn parse_with(text: &str, allowed: fn(u8) -> bool) -> Option<Self> {
        let text = trim(text);
        if text.is_empty() {
            return Some(Self::default());
        }
        let mut params = Vec::new();
        for part in split_outside(text.strip_prefix(';')?, b';')? {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (trim(name), Some(trim(value))),
                None => (part, None),
            };
            let name_fits =
                !name.is_empty() && name.bytes().all(|b| is_token_byte(b) || b"[]/:&$".contains(&b));
            let value_fits = value
                .is_none_or(|v| quoted_len(v) == Some(v.len()) || (!v.is_empty() && v.bytes().all(allowed)));
            if !name_fits || !value_fits {
                return None;
            }
            params.push(Param { name: name.to_owned(), value: value.map(str::to_owned) });
        }
        Some(Self(params))
    }

    /// The first parameter of that name, compared without regard to case.
    pub fn find(&self, name: &str) -> Option<&Param> {
        self.0.iter().find(|param| param.name.eq_ignore_ascii_case(name))
    }

    /// True when a parameter of that name is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The value of the first parameter of that name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.find(name).and_then(Param::value)
    }

    /// All parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = &Param> {
        self.0.iter()
    }

    /// Sets a parameter, in place when it is there, at the end when not.
    pub(crate) fn set(&mut self, name: &str, value: Option<String>) {
        match self.0.iter_mut().find(|param| param.name.eq_ignore_ascii_case(name)) {
            Some(param) => param.value = value,
            None => self.0.push(Param { name: name.to_owned(), value }),
        }
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for param in &self.0 {
            write!(f, ";{}", param.name)?;
            if let Some(value) = &param.value {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}

/// Wider than the grammar on purpose: real stacks put `=` and `/` into branches and tags.
fn is_header_value_byte(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && !b"\",;<>".contains(&byte)
}

fn is_uri_value_byte(byte: u8) -> bool {
    byte > b' ' && byte < 0x7f && !b"\"<>@?;".contains(&byte)
}
