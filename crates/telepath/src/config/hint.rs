//! "Did you mean …?": finds the known name closest to a misspelled one.

/// The largest edit distance at which a name counts as a misspelling of another.
const MAX_EDITS: usize = 3;

/// The candidate with the smallest edit distance, if it is close enough to be a typing mistake. A transposition is one edit. A name that differs only
/// in its section counts as one edit.
pub fn closest<'a>(wrong: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
    candidates
        .map(|candidate| {
            let whole = strsim::osa_distance(wrong, candidate);
            let same_name = last(wrong) == last(candidate);
            (if same_name { whole.min(1) } else { whole }, candidate)
        })
        .filter(|(edits, candidate)| *edits <= MAX_EDITS.min(candidate.len() / 3))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspellings_are_recognised_and_unrelated_names_are_not() {
        let known = ["api.listen", "sip.listen", "log.format"];
        let find = |wrong| closest(wrong, known.into_iter());
        assert_eq!(find("api.lisen"), Some("api.listen"));
        assert_eq!(find("api.litsen"), Some("api.listen"));
        assert_eq!(find("logging.format"), Some("log.format"));
        assert_eq!(find("weather.today"), None);
    }
}
