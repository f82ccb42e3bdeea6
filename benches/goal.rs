//! Whether a measured value meets its goal, for `--check`.

/// A number with its unit, such as `236 MiB` or `≤ 400 MB`, in the base unit of its kind.
fn number(text: &str) -> Option<f64> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let rest = &text[start..];
    let end = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ','))).unwrap_or(rest.len());
    let digits: String = rest[..end].chars().filter(|c| *c != ',').collect();
    let factor = match rest[end..].split_whitespace().next().unwrap_or_default() {
        "µs" => 1e-6,
        "ms" => 1e-3,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        "MB" => 1e6,
        _ => 1.0,
    };
    Some(digits.parse::<f64>().ok()? * factor)
}

/// `None` if the goal is no number.
pub(crate) fn is_met(value: &str, goal: &str) -> Option<bool> {
    let (value, limit) = (number(value)?, number(goal)?);
    let is_upper = goal.starts_with('≤') || goal.starts_with('<');
    // What a generator was to send is never sent exactly.
    Some(if is_upper { value <= limit } else { value >= limit * 0.99 })
}
