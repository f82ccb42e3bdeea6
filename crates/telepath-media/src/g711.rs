//! G.711 encoding and decoding by table, µ-law and A-law.
//!
//! `const fn` computes the tables at compile time from the definition of the two laws. Encoding tables are indexed by
//! magnitude (14-bit for µ-law, 13-bit for A-law, as in ITU-T G.711 tables 1 and 2), so they fit into the L1 cache.
#![expect(
    clippy::cast_possible_truncation,
    reason = "const fn cannot use TryFrom; every value is masked or bounded by its table"
)]

/// Added to a µ-law magnitude, so that every segment starts at a power of two.
const MU_BIAS: u16 = 33;
/// Largest 14-bit magnitude that µ-law can encode.
const MU_CLIP: u16 = 8158;

const fn mu_expand(code: u8) -> i16 {
    let bits = !code;
    let exponent = (bits >> 4) & 7;
    let mantissa = (bits & 15) as i16;
    let magnitude = (((mantissa << 1) | 0x21) << exponent) - 33;
    if bits & 0x80 == 0 { magnitude << 2 } else { -(magnitude << 2) }
}

/// Exponent and mantissa (seven bits) of a 14-bit magnitude, before inversion.
const fn mu_compress(magnitude: u16) -> u8 {
    let clipped = if magnitude > MU_CLIP { MU_CLIP } else { magnitude };
    let biased = clipped + MU_BIAS;
    let exponent = 10 - biased.leading_zeros();
    let mantissa = (biased >> (exponent + 1)) & 15;
    ((exponent << 4) as u8 & 0x70) | (mantissa as u8 & 15)
}

const fn a_expand(code: u8) -> i16 {
    let bits = code ^ 0x55;
    let exponent = (bits >> 4) & 7;
    let mantissa = (bits & 15) as i16;
    let magnitude =
        if exponent == 0 { (mantissa << 4) + 8 } else { ((mantissa << 4) + 0x108) << (exponent - 1) };
    // In A-law a set sign bit means positive.
    if bits & 0x80 == 0 { -magnitude } else { magnitude }
}

/// Exponent and mantissa (seven bits) of a 12-bit magnitude, before the even bits are inverted.
const fn a_compress(magnitude: u16) -> u8 {
    if magnitude < 32 {
        return (magnitude >> 1) as u8;
    }
    let exponent = 11 - magnitude.leading_zeros();
    let mantissa = (magnitude >> exponent) & 15;
    ((exponent << 4) as u8 & 0x70) | (mantissa as u8 & 15)
}

const fn expand_table(mu: bool) -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = if mu { mu_expand(code as u8) } else { a_expand(code as u8) };
        code += 1;
    }
    table
}

const fn mu_compress_table() -> [u8; 8192] {
    let mut table = [0; 8192];
    let mut magnitude = 0;
    while magnitude < 8192 {
        table[magnitude] = mu_compress(magnitude as u16);
        magnitude += 1;
    }
    table
}

const fn a_compress_table() -> [u8; 4096] {
    let mut table = [0; 4096];
    let mut magnitude = 0;
    while magnitude < 4096 {
        table[magnitude] = a_compress(magnitude as u16);
        magnitude += 1;
    }
    table
}

static MU_EXPAND: [i16; 256] = expand_table(true);
static A_EXPAND: [i16; 256] = expand_table(false);
static MU_COMPRESS: [u8; 8192] = mu_compress_table();
static A_COMPRESS: [u8; 4096] = a_compress_table();

/// Decodes one µ-law byte to a 16-bit sample.
pub fn mu_decode(code: u8) -> i16 {
    MU_EXPAND[usize::from(code)]
}

/// Encodes one 16-bit sample as µ-law. Zero becomes 0xFF (positive zero).
pub fn mu_encode(sample: i16) -> u8 {
    let bits = MU_COMPRESS[usize::from((sample.unsigned_abs() >> 2).min(8191))];
    if sample < 0 { !(bits | 0x80) } else { !bits }
}

/// Decodes one A-law byte to a 16-bit sample.
pub fn a_decode(code: u8) -> i16 {
    A_EXPAND[usize::from(code)]
}

/// Encodes one 16-bit sample as A-law. A-law has no zero: 0 becomes 0xD5 (+8).
pub fn a_encode(sample: i16) -> u8 {
    // The decision values are symmetric around -0.5, so negative samples use the one's complement.
    let magnitude = if sample < 0 { (!sample).unsigned_abs() } else { sample.unsigned_abs() };
    let bits = A_COMPRESS[usize::from(magnitude >> 3)];
    if sample < 0 { bits ^ 0x55 } else { (bits | 0x80) ^ 0x55 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_law_decoding_and_encoding_is_lossless() {
        for code in 0..=255u8 {
            assert_eq!(a_encode(a_decode(code)), code, "code {code:#04x}");
        }
    }

    #[test]
    fn mu_law_decoding_and_encoding_is_lossless_except_for_negative_zero() {
        for code in 0..=255u8 {
            let expected = if code == 0x7f { 0xff } else { code };
            assert_eq!(mu_encode(mu_decode(code)), expected, "code {code:#04x}");
        }
    }

    #[test]
    fn decoded_values_match_the_tables_of_itu_t_g711() {
        // Virtual values of ITU-T G.711 table 2 (µ-law, 14 bit) and table 1 (A-law, 13 bit), scaled to 16 bit.
        for (code, value) in [
            (0x80, 32124),
            (0x00, -32124),
            (0xff, 0),
            (0x7f, 0),
            (0xfe, 8),
            (0xf0, 120),
            (0xef, 132),
            (0x8f, 16764),
        ] {
            assert_eq!(mu_decode(code), value, "mu {code:#04x}");
        }
        for (code, value) in
            [(0xd5, 8), (0x55, -8), (0xaa, 32256), (0x2a, -32256), (0xd4, 24), (0xc5, 264), (0xf5, 528)]
        {
            assert_eq!(a_decode(code), value, "a {code:#04x}");
        }
    }

    #[test]
    fn quantization_error_is_at_most_half_a_step() {
        for sample in i16::MIN..=i16::MAX {
            let magnitude = i32::from(sample).abs().min(32_635);
            let mu_error = (i32::from(mu_decode(mu_encode(sample))).abs() - magnitude).abs();
            // The widest µ-law step is 1/16 of its segment, so half of it is about 1/32 of the value.
            assert!(mu_error <= (magnitude + 132) / 32 + 4, "mu {sample}: {mu_error}");
            let a_error = (i32::from(a_decode(a_encode(sample))).abs() - i32::from(sample).abs()).abs();
            assert!(a_error <= i32::from(sample).abs() / 32 + 8, "a {sample}: {a_error}");
        }
    }

    #[test]
    fn encoding_is_monotonic() {
        let mut last = (i16::MIN, i16::MIN);
        for sample in i16::MIN..=i16::MAX {
            let now = (mu_decode(mu_encode(sample)), a_decode(a_encode(sample)));
            assert!(now.0 >= last.0 && now.1 >= last.1, "at {sample}");
            last = now;
        }
    }
}
