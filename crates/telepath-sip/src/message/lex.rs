//! The lexical rules that headers share (RFC 3261 section 25.1): tokens, quoted strings, lists and parameters. They expect
//! unfolded text and return `None` for anything malformed.

use std::fmt;

use super::encoding::readable;

/// Whether a `token` may contain this byte.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

/// Whether the text is a `token`.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Removes leading and trailing white space.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Splits at each separator outside of quoted strings and angle brackets; `None` if a quote or bracket is not closed.
pub(crate) fn split_unquoted(text: &str, separator: u8) -> Option<Vec<&str>> {
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

/// The state of a scan over a header value.
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

/// The length in bytes of the quoted string with which the text begins, including its quotes.
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

/// The content of a quoted string without its backslash escapes.
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

/// Decodes `%HH` escapes and leaves other `%` characters unchanged. Escaped bytes that are not UTF-8 become U+FFFD, unescaped
/// ones are read as Latin-1.
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
    readable(&String::from_utf8_lossy(&plain)).into_owned()
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

/// Whether the text is a decimal number of any size.
pub(crate) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Parses a decimal number; `None` if it has other characters than digits or is out of range.
pub(crate) fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    is_number(text).then(|| text.parse().ok()).flatten()
}

/// The `;name=value` parameters of a header or URI, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<Param>);

/// A parameter: its name and its optional value with quotes and escapes.
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

    /// The value as written, if there is one.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }
}

impl Params {
    /// Parses header parameters; the text begins with `;` or is empty.
    pub(crate) fn parse_header(text: &str) -> Option<Self> {
        Self::parse_with(text, is_header_value_byte)
    }

    /// Parses URI parameters, which contain no white space and no quotes.
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
        for part in split_unquoted(text.strip_prefix(';')?, b';')? {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (trim(name), Some(trim(value))),
                None => (part, None),
            };
            let name_valid = !name.is_empty()
                && name.bytes().all(|b| is_token_byte(b) || b"[]/:&$".contains(&b) || !b.is_ascii());
            let value_valid = value
                .is_none_or(|v| quoted_len(v) == Some(v.len()) || (!v.is_empty() && v.bytes().all(allowed)));
            if !name_valid || !value_valid {
                return None;
            }
            params.push(Param { name: name.to_owned(), value: value.map(str::to_owned) });
        }
        Some(Self(params))
    }

    /// The first parameter with this name; names are case-insensitive.
    pub fn find(&self, name: &str) -> Option<&Param> {
        self.0.iter().find(|param| param.name.eq_ignore_ascii_case(name))
    }

    /// Whether there is a parameter with this name, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The value of the first parameter with this name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.find(name).and_then(Param::value)
    }

    /// All parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = &Param> {
        self.0.iter()
    }

    /// Replaces a parameter or appends it.
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

/// More permissive than the grammar: real stacks use `=` and `/` in branches and tags.
fn is_header_value_byte(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && !b"\",;<>".contains(&byte)
}

fn is_uri_value_byte(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f && !b"\"<>@?;".contains(&byte)
}
