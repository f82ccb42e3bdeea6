//! Bar charts of block characters for a terminal, without colour.

const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar chart, `rows` lines high and at most `most_columns` wide, with the maximum beside the top line. Adjacent values
/// are added up if there are more values than columns. A value above zero is always visible.
pub(crate) fn columns(values: &[u64], most_columns: usize, rows: usize) -> Vec<String> {
    let columns = fold(values, most_columns.max(1));
    let highest = columns.iter().copied().max().unwrap_or(0);
    let label = highest.to_string();
    let heights: Vec<u64> = columns.iter().map(|value| height(*value, highest, rows)).collect();
    (0..rows)
        .map(|row| {
            let name = if row == 0 {
                &label
            } else if row + 1 == rows {
                "0"
            } else {
                ""
            };
            let below = (rows - 1 - row) as u64 * 8;
            let bar: String = heights.iter().map(|height| block(height.saturating_sub(below))).collect();
            format!("{name:>width$} │{bar}", width = label.len()).trim_end().to_owned()
        })
        .collect()
}

/// A bar chart of one line between two marks, at most `most_columns` wide. Adjacent values are added up if there are more
/// values than columns. A value above zero is always visible.
pub(crate) fn sparkline(values: &[u64], most_columns: usize) -> String {
    let columns = fold(values, most_columns.max(1));
    let highest = columns.iter().copied().max().unwrap_or(0);
    let bar: String = columns.iter().map(|value| block(height(*value, highest, 1))).collect();
    format!("│{bar}│")
}

/// In eighths of a line, rounded up.
fn height(value: u64, highest: u64, rows: usize) -> u64 {
    let whole = u128::from(value) * rows as u128 * 8;
    u64::try_from(whole.div_ceil(u128::from(highest.max(1)))).unwrap_or(u64::MAX)
}

fn block(eighths: u64) -> char {
    usize::try_from(eighths).ok().and_then(|eighths| EIGHTHS.get(eighths)).copied().unwrap_or('█')
}

fn fold(values: &[u64], most: usize) -> Vec<u64> {
    let group = values.len().div_ceil(most).max(1);
    values
        .chunks(group)
        .map(|chunk| chunk.iter().fold(0, |sum: u64, value| sum.saturating_add(*value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maximum_fills_its_column_and_small_values_stay_visible() {
        assert_eq!(columns(&[0, 1, 50, 100], 10, 2), ["100 │   █", "  0 │ ▁██"]);
    }

    #[test]
    fn adjacent_values_are_added_up_to_fit_the_width() {
        assert_eq!(columns(&[1, 1, 2, 2, 4], 3, 1), ["4 │▄██"]);
        assert!(columns(&vec![1; 10_000], 72, 5).iter().all(|line| line.chars().count() <= 72 + 5));
    }

    #[test]
    fn empty_and_huge_series_are_drawn() {
        assert_eq!(columns(&[], 10, 2), ["0 │", "0 │"]);
        assert_eq!(columns(&[0, 0], 10, 1), ["0 │"]);
        let huge = columns(&[u64::MAX, u64::MAX], 1, 1);
        assert_eq!(huge, [format!("{} │█", u64::MAX)]);
    }

    #[test]
    fn a_sparkline_keeps_its_width_and_shows_small_values() {
        assert_eq!(sparkline(&[0, 1, 100, 0], 10), "│ ▁█ │");
        assert_eq!(sparkline(&[1; 100], 10).chars().count(), 12);
        assert_eq!((sparkline(&[], 10), sparkline(&[0], 10)), ("││".to_owned(), "│ │".to_owned()));
    }
}
