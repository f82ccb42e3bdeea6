//! A telephone number to erase.

/// The fewest and the most digits (ITU-T E.164 section 6.1). Fewer could be part of many numbers.
const DIGITS: std::ops::RangeInclusive<usize> = 6..=15;

/// The digits of a telephone number in international form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedNumber(String);

impl ErasedNumber {
    /// Takes `+` and 6 to 15 digits.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix('+').unwrap_or_default();
        if DIGITS.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(digits.to_owned()))
        } else {
            Err("must be a number in international form: + and 6 to 15 digits".to_owned())
        }
    }

    /// The digits, which every form of the number contains.
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// The forms in which it is the party of a call: with `+`, with `00` and bare.
    pub fn parties(&self) -> [String; 3] {
        let digits = &self.0;
        [format!("+{digits}"), format!("00{digits}"), digits.clone()]
    }

    /// Its last two digits, which are enough to recognize a request and too few to find a person.
    pub fn hint(&self) -> String {
        format!("…{}", self.0.get(self.0.len().saturating_sub(2)..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_in_international_form_are_erased() {
        let number = ErasedNumber::parse("+15550100123").unwrap();
        assert_eq!(number.parties(), ["+15550100123", "0015550100123", "15550100123"].map(str::to_owned));
        assert_eq!((number.digits(), number.hint().as_str()), ("15550100123", "…23"));
        for wrong in [
            "",
            "+",
            "+12345",
            "15550100123",
            "+1555x100123",
            "+1234567890123456",
            "anonymous",
            "+1 555 0100",
        ] {
            assert!(ErasedNumber::parse(wrong).is_err(), "{wrong}");
        }
        assert!(ErasedNumber::parse("+123456").is_ok() && ErasedNumber::parse("+123456789012345").is_ok());
    }
}
