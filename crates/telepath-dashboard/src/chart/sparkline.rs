//! Small charts without axes, beside their figures: requests, and what was measured.

use std::fmt::Write as _;

/// In tenths of a pixel.
const WIDTH: u32 = 1040;
const HEIGHT: u32 = 280;
/// Room above the highest point, so that the line is not cut.
const ABOVE: u32 = 20;
/// Where zero is, above the lower edge by half of the line.
const BASE: u32 = HEIGHT - 10;
/// The smallest height of errors, so that a single one is seen.
const VISIBLE: u32 = 30;

/// The requests of one part of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Point {
    pub(crate) requests: u64,
    /// Those answered with 4xx or 5xx.
    pub(crate) errors: u64,
}

/// A line through the requests and a bar for the errors of each point. The figures beside it say the same, so screen readers skip
/// it.
pub(crate) fn sparkline(points: &[Point]) -> String {
    let most = points.iter().map(|point| point.requests).max().unwrap_or_default();
    let mut svg = String::from(r#"<svg class="spark" viewBox="0 0 104 28" aria-hidden="true">"#);
    if most == 0 {
        let _ = write!(svg, r#"<path class="none" d="M0 {}h{}"/></svg>"#, tenths(BASE), tenths(WIDTH));
        return svg;
    }
    let last = u32::try_from(points.len() - 1).unwrap_or(WIDTH).max(1);
    let x = |place: u32| tenths(place * (WIDTH / last) + place * (WIDTH % last) / last);
    let line = (0..).zip(points).fold(String::new(), |mut line, (place, point)| {
        let y = BASE - scaled(point.requests, most);
        let _ = write!(line, "{}{} {}", if place == 0 { 'M' } else { 'L' }, x(place), tenths(y));
        line
    });
    let (right, foot) = (tenths(WIDTH), tenths(BASE));
    let _ = write!(
        svg,
        r#"<path class="area" d="{line}L{right} {foot}L0 {foot}z"/><path class="line" d="{line}"/>"#
    );
    let errors = (0..).zip(points).fold(String::new(), |mut bars, (place, point)| {
        if point.errors > 0 {
            let height = tenths(scaled(point.errors, most).max(VISIBLE));
            let _ = write!(bars, "M{} {foot}v-{height}", x(place));
        }
        bars
    });
    if !errors.is_empty() {
        let _ = write!(svg, r#"<path class="err" d="{errors}"/>"#);
    }
    svg.push_str("</svg>");
    svg
}

/// A line through what was measured in each part of time. Where nothing was measured, the line is interrupted; a value between two
/// gaps is a dot.
pub(crate) fn trend(values: &[Option<u64>]) -> String {
    let most = values.iter().flatten().copied().max().unwrap_or_default();
    let mut svg = String::from(r#"<svg class="spark" viewBox="0 0 104 28" aria-hidden="true">"#);
    let last = u32::try_from(values.len().saturating_sub(1)).unwrap_or(WIDTH).max(1);
    let (mut line, mut is_drawing) = (String::new(), false);
    for (place, value) in (0..).zip(values) {
        if let Some(value) = value {
            let x = place * (WIDTH / last) + place * (WIDTH % last) / last;
            // A dot is a line of no length with round ends.
            let command = if is_drawing { "L" } else { "M" };
            let y = tenths(BASE - scaled(*value, most));
            let _ = write!(line, "{command}{} {y}{}", tenths(x), if is_drawing { "" } else { "h0" });
        }
        is_drawing = value.is_some();
    }
    let path = if line.is_empty() { format!("M0 {}h{}", tenths(BASE), tenths(WIDTH)) } else { line };
    let class = if most == 0 { "none" } else { "line" };
    let _ = write!(svg, r#"<path class="{class}" d="{path}"/></svg>"#);
    svg
}

/// The height of a value in tenths of a pixel.
fn scaled(value: u64, most: u64) -> u32 {
    let height = u128::from(value.min(most)) * u128::from(BASE - ABOVE) / u128::from(most.max(1));
    u32::try_from(height).unwrap_or(BASE - ABOVE)
}

fn tenths(number: u32) -> String {
    if number.is_multiple_of(10) {
        (number / 10).to_string()
    } else {
        format!("{}.{}", number / 10, number % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_reaches_from_edge_to_edge_and_a_single_error_is_seen() {
        let points =
            [Point { requests: 1000, errors: 1 }, Point::default(), Point { requests: 500, errors: 0 }];
        let drawn = sparkline(&points);
        assert!(drawn.contains(r#"class="line" d="M0 2L52 27L104 14.5""#), "{drawn}");
        assert!(drawn.contains(r#"class="err" d="M0 27v-3""#), "{drawn}");
        assert!(!drawn.contains("fill=") && !drawn.contains("style="));
    }

    #[test]
    fn no_requests_are_a_dotted_line() {
        assert!(sparkline(&[Point::default(); 24]).contains("class=\"none\""));
        assert!(sparkline(&[]).contains("class=\"none\""));
    }

    #[test]
    fn a_trend_is_interrupted_where_nothing_was_measured() {
        let drawn = trend(&[Some(500), Some(1000), None, Some(500), None]);
        assert!(drawn.contains(r#"class="line" d="M0 14.5h0L26 2M78 14.5h0""#), "{drawn}");
        assert!(trend(&[None; 7]).contains(r#"class="none" d="M0 27h104""#) && trend(&[]).contains("none"));
        assert!(trend(&[Some(u64::MAX)]).contains("M0 2h0"));
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let drawn = sparkline(&[Point { requests: u64::MAX, errors: u64::MAX }; 200]);
        assert!(drawn.contains("M0 2L"), "{drawn}");
        assert!(sparkline(&[Point { requests: 1, errors: 0 }]).contains("M0 2L104 27"));
    }
}
