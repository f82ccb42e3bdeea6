//! The estimated mean opinion score of a call on its scale.

use super::frame::Px;

/// The scale, and where a line becomes fair and clean, in hundredths.
const LEAST: u32 = 100;
const MOST: u32 = 450;
pub(crate) const FAIR: f64 = 3.6;
pub(crate) const CLEAN: f64 = 4.0;
/// In tenths of a pixel.
const WIDTH: u32 = 3000;

/// How a score reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quality {
    Clean,
    Fair,
    Poor,
}

impl Quality {
    pub(crate) fn of(mos: f64) -> Self {
        if mos >= CLEAN {
            Self::Clean
        } else if mos >= FAIR {
            Self::Fair
        } else {
            Self::Poor
        }
    }

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Clean => "Clean",
            Self::Fair => "Fair",
            Self::Poor => "Poor",
        }
    }
}

/// Three parts of the scale from 1 to 4.5 with a mark at the score.
pub(crate) fn scale(mos: f64) -> String {
    let word = Quality::of(mos).word().to_lowercase();
    let mark = Px(place(mos).clamp(80, WIDTH - 80));
    let (fair, clean) = (place(FAIR), place(CLEAN));
    let parts = [("poor", 0, fair - 20), ("fair", fair, clean - 20), ("clean", clean, WIDTH)];
    let parts = parts.map(|(class, from, to)| {
        let (x, width) = (Px(from), Px(to - from));
        format!(r#"<rect class="{class}" x="{x}" y="10" width="{width}" height="8" rx="3"/>"#)
    });
    format!(
        r#"<svg class="chart scale" viewBox="0 0 300 40" role="img" aria-label="MOS {mos:.1} on a scale from 1 to 4.5: {word}">{}<circle cx="{mark}" cy="14" r="7"/><text x="0" y="36">1</text><text class="x" x="{}" y="36">3.6</text><text class="x" x="{}" y="36">4</text><text class="y" x="300" y="36">4.5</text></svg>"#,
        parts.concat(),
        Px(fair),
        Px(clean),
    )
}

fn place(mos: f64) -> u32 {
    let hundredths = (mos.clamp(1.0, 4.5) * 100.0).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 100 and 450, or not a number"
    )]
    let hundredths = hundredths as u32;
    hundredths.saturating_sub(LEAST) * WIDTH / (MOST - LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_stands_at_its_place_and_reads_as_the_thresholds_say() {
        assert_eq!([1.0, 3.6, 4.5, 9.0, f64::NAN].map(place), [0, 2228, 3000, 3000, 0]);
        let words = [4.3, 4.0, 3.99, 3.6, 3.59].map(|mos| Quality::of(mos).word());
        assert_eq!(words, ["Clean", "Clean", "Fair", "Fair", "Poor"]);
        let drawn = scale(4.3);
        assert!(drawn.contains(r#"aria-label="MOS 4.3 on a scale from 1 to 4.5: clean""#), "{drawn}");
        assert!(
            drawn.contains(r#"<circle cx="282.8""#) && drawn.contains(r#"x="257.1" y="36">4<"#),
            "{drawn}"
        );
    }
}
