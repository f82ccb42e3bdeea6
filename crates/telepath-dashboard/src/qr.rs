//! QR codes as SVG, so that no other server and no script draws them.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc};

/// Modules of the quiet zone (ISO/IEC 18004 section 9.1).
const QUIET: i32 = 4;

/// A QR code of a text as an SVG element; `None` if the text is too long. The colours are those of a printed code in both
/// themes, because some cameras do not read inverted ones.
pub(crate) fn svg(text: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let size = code.size() + 2 * QUIET;
    let mut path = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            // Writing to a string does not fail.
            let _ = write!(path, "M{} {}h1v1h-1z", x + QUIET, y + QUIET);
        }
    }
    Some(format!(
        "<svg class=\"qr\" viewBox=\"0 0 {size} {size}\" role=\"img\" aria-label=\"QR code for the authenticator\" \
         shape-rendering=\"crispEdges\"><rect class=\"qr-paper\" width=\"{size}\" height=\"{size}\"/>\
         <path class=\"qr-ink\" d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_a_quiet_zone_and_no_colours_of_its_own() {
        let code = svg("otpauth://totp/Telepath:ada%40example.com?secret=GEZDGNBVGY3TQOJQ").unwrap();
        assert!(code.contains("M4 4h1v1h-1z"), "the finder pattern begins behind four modules");
        assert!(!code.contains("fill=") && !code.contains("style="));
    }

    #[test]
    fn a_text_that_fits_no_code_has_none() {
        assert_eq!(svg(&"a".repeat(5000)), None);
    }
}
