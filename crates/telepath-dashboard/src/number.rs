//! Numbers as pages show them.

pub(crate) use telepath_core::number::grouped;

/// A number with its noun: `1 key`, `1,204 keys`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// A length of time that was measured in microseconds: milliseconds up to 999, then seconds.
pub(crate) fn microseconds(length: u64) -> String {
    match length {
        0..100_000 => format!("{}.{} ms", length / 1000, length % 1000 / 100),
        100_000..1_000_000 => format!("{} ms", length / 1000),
        1_000_000.. => format!("{}.{} s", grouped(length / 1_000_000), length % 1_000_000 / 100_000),
    }
}

/// A time in milliseconds: `602 ms`; a dash if it was not measured.
pub(crate) fn milliseconds(value: Option<u64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{} ms", grouped(value)))
}

/// The share of a part in percent with one digit, rounded down, so that only all is 100%; a dash of nothing.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let tenths = u128::from(part) * 1000 / u128::from(whole);
    match tenths % 10 {
        0 => format!("{}%", tenths / 10),
        tenth => format!("{}.{tenth}%", tenths / 10),
    }
}

/// A size in bytes, in its largest unit: `512 bytes`, `12.4 MB`, `1 GB`. Units are powers of 1024.
pub(crate) fn bytes(size: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")];
    let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| size >= *unit) else {
        return counted(size, "byte", "bytes");
    };
    let tenths = u128::from(size) * 10 / u128::from(unit);
    match tenths % 10 {
        0 => format!("{} {name}", tenths / 10),
        tenth => format!("{}.{tenth} {name}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_down_and_what_was_not_measured_is_a_dash() {
        assert_eq!(
            [(987, 1000), (1, 1), (9999, 10_000), (1, 3)].map(|(part, whole)| percent(part, whole)),
            ["98.7%", "100%", "99.9%", "33.3%"]
        );
        assert_eq!((percent(0, 0), percent(0, 9)), ("–".to_owned(), "0%".to_owned()));
        assert_eq!((milliseconds(Some(1240)), milliseconds(None)), ("1,240 ms".to_owned(), "–".to_owned()));
    }

    #[test]
    fn sizes_have_the_unit_that_fits() {
        let shown = [0, 1, 1023, 1536, 1 << 20, 13_003_000, 1 << 30, u64::MAX].map(bytes);
        let expected =
            ["0 bytes", "1 byte", "1023 bytes", "1.5 KB", "1 MB", "12.4 MB", "1 GB", "16777215.9 TB"];
        assert_eq!(shown.map(|size| size.replace(',', "")), expected);
    }

    #[test]
    fn a_noun_follows_its_number() {
        assert_eq!(counted(1, "key", "keys"), "1 key");
        assert_eq!(counted(0, "key", "keys"), "0 keys");
        assert_eq!(counted(1204, "key", "keys"), "1,204 keys");
    }

    #[test]
    fn lengths_of_time_have_the_unit_that_fits() {
        let shown = [0, 3_940, 99_999, 150_000, 999_999, 1_000_000, 30_250_000].map(microseconds);
        assert_eq!(shown, ["0.0 ms", "3.9 ms", "99.9 ms", "150 ms", "999 ms", "1.0 s", "30.2 s"]);
    }
}
