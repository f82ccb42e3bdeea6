//! How long the caller waited before a turn of the agent: a bar with the agent's part and Telepath's, beside its figures.

use std::fmt::Write as _;

use super::frame::Px;
use super::lanes::LONG_WAIT_MS;

/// In tenths of a pixel of the drawing, which stretches.
const WIDTH: u32 = 4000;
/// The narrowest part that is seen.
const VISIBLE: u32 = 30;

/// The end of the axis for waits up to `most` milliseconds: whole quarters of a second, and never so short that the mark is at its
/// edge.
pub(crate) fn axis_end(most: u64) -> u64 {
    most.max(LONG_WAIT_MS * 5 / 4).div_ceil(250) * 250
}

/// The bar of a wait, of which `gateway` milliseconds passed inside Telepath. The figures beside it say the same, so screen readers
/// skip it.
pub(crate) fn bar(wait: Option<u64>, gateway: u64, end: u64) -> String {
    let x = |ms: u64| {
        let place = u128::from(ms.min(end)) * u128::from(WIDTH) / u128::from(end.max(1));
        u32::try_from(place).unwrap_or(WIDTH)
    };
    let mut svg = format!(
        r#"<svg class="fall" viewBox="0 0 400 22" preserveAspectRatio="none" aria-hidden="true"><rect class="lane" y="5" width="400" height="12" rx="3"/><path class="mark-800" d="M{} 1V21"/>"#,
        Px(x(LONG_WAIT_MS))
    );
    if let Some(wait) = wait {
        let gateway = gateway.min(wait);
        let agent = x(wait - gateway).max(VISIBLE);
        // Writing to a string does not fail.
        let _ = write!(svg, r#"<rect class="la" y="5" width="{}" height="12"/>"#, Px(agent));
        if gateway > 0 {
            let width = x(wait).saturating_sub(agent).max(VISIBLE);
            let _ = write!(
                svg,
                r#"<rect class="lg" x="{}" y="5" width="{}" height="12"/>"#,
                Px(agent),
                Px(width)
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_ends_behind_the_longest_wait_and_the_mark() {
        assert_eq!([0, 999, 1001, 1930].map(axis_end), [1000, 1000, 1250, 2000]);
    }

    #[test]
    fn a_bar_has_the_agents_part_then_telepaths() {
        let drawn = bar(Some(600), 11, 1000);
        assert!(drawn.contains(r#"<path class="mark-800" d="M320 1V21"/>"#), "{drawn}");
        assert!(drawn.contains(r#"<rect class="la" y="5" width="235.6" height="12"/>"#), "{drawn}");
        assert!(drawn.contains(r#"<rect class="lg" x="235.6" y="5" width="4.4" height="12"/>"#), "{drawn}");
        assert!(!bar(None, 11, 1000).contains("\"la\""));
        assert!(bar(Some(u64::MAX), u64::MAX, u64::MAX).contains("\"lg\""));
    }
}
