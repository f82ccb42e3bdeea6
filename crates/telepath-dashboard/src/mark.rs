//! The mark of a key: seven bars in one of seven hues, derived from the id. It helps people to recognize a key and identifies
//! nothing.

use std::fmt;

use sha2::{Digest as _, Sha256};
use telepath_core::id::KeyId;

const BARS: usize = 7;
/// Hues, which the style sheet defines.
const HUES: u8 = 7;

/// The mark of a key. Templates write `{{ mark|safe }}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    hue: u8,
    /// Heights from 0 to 7.
    bars: [u8; BARS],
}

impl Mark {
    pub(crate) fn of(key: KeyId) -> Self {
        let digest = Sha256::digest(key.to_string().as_bytes());
        let mut bytes = digest.iter().copied();
        let hue = bytes.next().unwrap_or_default() % HUES;
        let mut bars = [0; BARS];
        for (bar, byte) in bars.iter_mut().zip(bytes) {
            *bar = byte % 8;
        }
        Self { hue, bars }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"<svg class="mark hue-{}" viewBox="0 0 32 32" aria-hidden="true"><path d=""#, self.hue)?;
        for (place, bar) in self.bars.iter().enumerate() {
            // Bars stand 3 units apart and are 3 to 17 units high, centred.
            let (x, height) = (7 + 3 * place, 3 + 2 * u32::from(*bar));
            write!(f, "M{x} {}.5v{height}", (31 - height) / 2)?;
        }
        f.write_str(r#""/></svg>"#)
    }
}

#[cfg(test)]
mod tests {
    use telepath_core::id::Id as _;

    use super::*;

    #[test]
    fn a_mark_depends_on_the_id_only() {
        let [one, other] = [1, 2].map(|byte| KeyId::from_bytes([byte; 16]));
        assert_eq!(Mark::of(one), Mark::of(one));
        assert_ne!(Mark::of(one), Mark::of(other));
    }

    #[test]
    fn a_mark_has_seven_centred_bars_and_its_colour_from_a_class() {
        let mark = Mark { hue: 4, bars: [0, 1, 2, 3, 4, 5, 7] };
        let drawn = mark.to_string();
        assert!(drawn.contains(r#"class="mark hue-4""#) && drawn.contains("M7 14.5v3M10 13.5v5"), "{drawn}");
        assert!(drawn.contains("M25 7.5v17"), "{drawn}");
        assert!(!drawn.contains("fill=") && !drawn.contains("style="));
    }
}
