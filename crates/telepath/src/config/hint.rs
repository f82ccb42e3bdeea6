//! "Did you mean …?": the known name closest to a misspelled one.

/// The edit distance up to which a name counts as a misspelling of another.
const CLOSE: usize = 3;

/// The candidate that needs the fewest single-character edits, when that is few enough to be a slip. A name that is
/// right but for its section counts as close.
pub fn closest<'a>(wrong: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
    candidates
        .map(|candidate| {
            let whole = distance(wrong, candidate);
            let same_name = last(wrong) == last(candidate);
            (if same_name { whole.min(1) } else { whole }, candidate)
        })
        .filter(|(edits, candidate)| *edits <= CLOSE.min(candidate.len() / 3))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance over characters, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let known = ["api.listen", "sip.listen", "log.format"];
        let find = |wrong| closest(wrong, known.into_iter());
        assert_eq!(find("api.lisen"), Some("api.listen"));
        assert_eq!(find("logging.format"), Some("log.format"));
        assert_eq!(find("weather.today"), None);
    }

    #[test]
    fn the_distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
