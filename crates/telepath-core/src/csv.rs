//! Comma-separated values (RFC 4180).

/// The media type.
pub const MEDIA_TYPE: &str = "text/csv; charset=utf-8";

/// Appends a line.
pub fn append_line<'c>(text: &mut Vec<u8>, cells: impl IntoIterator<Item = &'c str>) {
    for (place, cell) in cells.into_iter().enumerate() {
        if place > 0 {
            text.push(b',');
        }
        append_cell(text, cell);
    }
    text.extend_from_slice(b"\r\n");
}

/// The text of a cell that may be empty.
pub fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// A cell in quotes (RFC 4180 section 2). One that a spreadsheet would read as a formula gets a leading apostrophe.
fn append_cell(text: &mut Vec<u8>, cell: &str) {
    text.push(b'"');
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        text.push(b'\'');
    }
    text.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_cannot_leave_their_place_and_are_no_formulas() {
        let cell = |text: &str| {
            let mut out = Vec::new();
            append_cell(&mut out, text);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(cell("plain"), "\"plain\"");
        assert_eq!(cell("a\",b\r\nc"), "\"a\"\",b\r\nc\"");
        for formula in ["=1+1", "+1", "-1", "@x", "\tx", "\rx"] {
            assert_eq!(cell(formula), format!("\"'{formula}\""));
        }
    }

    #[test]
    fn a_line_ends_with_cr_lf() {
        let mut out = Vec::new();
        append_line(&mut out, ["a", "b"]);
        assert_eq!(out, b"\"a\",\"b\"\r\n");
    }
}
