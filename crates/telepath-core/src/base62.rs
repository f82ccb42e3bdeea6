//! Base62 with the digits in ASCII order (`0-9A-Za-z`), the alphabet of API keys.

/// The 62 symbols; a symbol's position is its value.
pub const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Whether every byte is a base62 symbol.
pub fn is_base62(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_alphanumeric)
}

/// `value` in exactly six symbols, most significant first; 62^6 exceeds 2^32, so every `u32` fits.
pub const fn encode_u32(mut value: u32) -> [u8; 6] {
    let mut out = [b'0'; 6];
    let mut at = 6;
    while at > 0 {
        at -= 1;
        out[at] = ALPHABET[(value % 62) as usize];
        value /= 62;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_symbols_hold_every_u32() {
        assert_eq!(&encode_u32(0), b"000000");
        assert_eq!(&encode_u32(61), b"00000z");
        assert_eq!(&encode_u32(62), b"000010");
        assert_eq!(&encode_u32(u32::MAX), b"4gfFC3");
    }
}
