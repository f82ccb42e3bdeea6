//! Masks secrets in text: API keys, webhook secrets, bearer tokens and passwords in URLs.

use std::borrow::Cow;

/// Prefixes of secrets. The letters, digits, `_`, `-`, `+`, `/` and `=` that follow are masked.
const PREFIXES: &[&str] = &["sk_live_", "sk_test_", "whsec_"];
const MASK: &str = "[redacted]";

/// Masks every recognised secret. Borrows the text if there is none, which is the usual case.
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((start, secret_at, end)) = first_secret(rest) {
        out.push_str(&rest[..start]);
        out.push_str(&rest[start..secret_at]);
        out.push_str(MASK);
        rest = &rest[end..];
    }
    if out.is_empty() && rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Where the first secret's prefix starts, where the secret part starts, and where it ends.
fn first_secret(text: &str) -> Option<(usize, usize, usize)> {
    let prefixed = PREFIXES.iter().filter_map(|prefix| {
        text.match_indices(prefix).find_map(|(at, _)| {
            let from = at + prefix.len();
            let length = token_length(&text[from..]);
            // A masked key such as sk_live_AbC… is not a secret and stays readable.
            let masked = text[from + length..].starts_with('…');
            (length > 0 && !masked).then_some((at, from, from + length))
        })
    });
    prefixed.chain(bearer(text)).chain(url_password(text)).min()
}

fn token_length(text: &str) -> usize {
    text.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"_-+/=.~".contains(b)).count()
}

/// `Bearer` in any case (RFC 6750 section 2.1), white space, token.
fn bearer(text: &str) -> Option<(usize, usize, usize)> {
    let lower = text.to_ascii_lowercase();
    lower.match_indices("bearer").find_map(|(at, word)| {
        let after = &text[at + word.len()..];
        let gap = after.len() - after.trim_start_matches(' ').len();
        let from = at + word.len() + gap;
        let length = token_length(&text[from..]);
        // `Bearer realm="…"` is a challenge, not a credential.
        let challenge = text[from..].starts_with("realm=") || text[from..].starts_with("error=");
        (gap > 0 && length > 0 && !challenge).then_some((at, from, from + length))
    })
}

/// `scheme://user:password@host`.
fn url_password(text: &str) -> Option<(usize, usize, usize)> {
    text.match_indices("://").find_map(|(at, _)| {
        let from = at + 3;
        let authority_end = text[from..]
            .find(|c: char| c == '/' || c.is_whitespace() || c == '"')
            .map_or(text.len(), |length| from + length);
        let authority = &text[from..authority_end];
        let end = from + authority.rfind('@')?;
        let colon = from + authority.find(':')?;
        (colon + 1 < end && &text[colon + 1..end] != MASK).then_some((at, colon + 1, end))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tokens_and_passwords_are_masked_anywhere_in_a_text() {
        for (text, masked) in [
            ("got sk_live_0123456789abcdef!", "got sk_live_[redacted]!"),
            ("{\"key\":\"sk_test_x\",\"n\":1}", "{\"key\":\"sk_test_[redacted]\",\"n\":1}"),
            ("a sk_live_A b sk_live_B", "a sk_live_[redacted] b sk_live_[redacted]"),
            ("Authorization: bEaReR abc.def-ghi", "Authorization: bEaReR [redacted]"),
            ("secret whsec_abc+/=", "secret whsec_[redacted]"),
            ("postgres://u:pa:ss@db/t failed", "postgres://u:[redacted]@db/t failed"),
            ("Bearer sk_live_abc", "Bearer [redacted]"),
        ] {
            assert_eq!(redact(text), masked);
        }
    }

    #[test]
    fn text_without_secrets_is_unchanged() {
        for text in [
            "",
            "sk_live_",
            "the key sk_live_AbC…wxyz was revoked",
            "Bearer realm=\"telepath\"",
            "https://voice.example:8443/v1",
            "wss://agent.example/a@b",
            "sip:support-01@voice.example",
            "ünïcödé bearer",
        ] {
            assert!(matches!(redact(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn masking_is_idempotent() {
        let once = redact("Bearer abc postgres://u:p@h sk_live_x").into_owned();
        assert_eq!(redact(&once), once);
    }
}
