//! Figures as bytes: a version, then numbers in groups of seven bits (LEB128). Buckets are written as pairs of the distance to
//! the bucket before and the count, so that the figures of a quiet hour take less than a hundred bytes.

use std::collections::BTreeMap;

use super::distribution::{BUCKETS, MAX_VALUE};
use super::{CallFigures, Distribution};

/// The version of the form.
const VERSION: u8 = 1;

/// The bytes are not figures that this version wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the figures of calls")]
pub struct InvalidFigures;

impl CallFigures {
    /// The figures as bytes, which [`CallFigures::from_bytes`] reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        for count in [
            self.reached,
            self.failed,
            self.agent_turns,
            self.agent_interrupted,
            self.caller_turns,
            self.caller_interrupted,
        ] {
            write(&mut bytes, count.into());
        }
        for measure in &self.measures {
            write_distribution(&mut bytes, measure);
        }
        bytes
    }

    /// Reads figures; of no bytes, none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidFigures> {
        let mut reader = match bytes.split_first() {
            None => return Ok(Self::default()),
            Some((&VERSION, rest)) => Reader(rest),
            Some(_) => return Err(InvalidFigures),
        };
        let mut figures = Self {
            reached: reader.count()?,
            failed: reader.count()?,
            agent_turns: reader.count()?,
            agent_interrupted: reader.count()?,
            caller_turns: reader.count()?,
            caller_interrupted: reader.count()?,
            ..Self::default()
        };
        for measure in &mut figures.measures {
            *measure = reader.distribution()?;
        }
        if reader.0.is_empty() { Ok(figures) } else { Err(InvalidFigures) }
    }
}

fn write_distribution(bytes: &mut Vec<u8>, distribution: &Distribution) {
    write(bytes, distribution.buckets.len() as u128);
    if distribution.buckets.is_empty() {
        return;
    }
    write(bytes, distribution.sum);
    write(bytes, distribution.squares);
    write(bytes, distribution.smallest.into());
    write(bytes, distribution.largest.into());
    let mut last = 0;
    for (bucket, count) in &distribution.buckets {
        write(bytes, (bucket - last).into());
        write(bytes, (*count).into());
        last = *bucket;
    }
}

fn write(bytes: &mut Vec<u8>, mut value: u128) {
    loop {
        let low = (value & 0x7f).to_le_bytes()[0];
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// The bytes that are not read yet.
struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn number(&mut self) -> Result<u128, InvalidFigures> {
        let mut value = 0_u128;
        for shift in (0..126).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(InvalidFigures)?;
            self.0 = rest;
            value |= u128::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(InvalidFigures)
    }

    fn count(&mut self) -> Result<u64, InvalidFigures> {
        self.number()?.try_into().map_err(|_| InvalidFigures)
    }

    fn value(&mut self) -> Result<u64, InvalidFigures> {
        self.count().and_then(|value| if value <= MAX_VALUE { Ok(value) } else { Err(InvalidFigures) })
    }

    fn distribution(&mut self) -> Result<Distribution, InvalidFigures> {
        let length = self.count()?;
        if length == 0 {
            return Ok(Distribution::default());
        }
        if length > BUCKETS.into() {
            return Err(InvalidFigures);
        }
        let (sum, squares) = (self.number()?, self.number()?);
        let (smallest, largest) = (self.value()?, self.value()?);
        let (mut buckets, mut last) = (BTreeMap::new(), 0_u16);
        for _ in 0..length {
            let step = u16::try_from(self.number()?).map_err(|_| InvalidFigures)?;
            last = last.checked_add(step).filter(|bucket| *bucket < BUCKETS).ok_or(InvalidFigures)?;
            let count = self.count()?;
            if count == 0 || buckets.insert(last, count).is_some() {
                return Err(InvalidFigures);
            }
        }
        if smallest > largest {
            return Err(InvalidFigures);
        }
        Ok(Distribution { sum, squares, smallest, largest, buckets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{CallMetrics, CallStatus};

    fn figures() -> CallFigures {
        let mut all = CallFigures::default();
        for latency in [1, 31, 400, 401, 5_000, u32::MAX] {
            let metrics = CallMetrics {
                ai_latency_ms: Some(latency),
                mos: Some(4.4),
                gateway_processing_us: Some(latency / 2),
                ..CallMetrics::default()
            };
            all.merge(&CallFigures::of_call(CallStatus::Disconnected, latency, &metrics, &[]));
        }
        all
    }

    #[test]
    fn figures_are_read_as_they_were_written() {
        for figures in [CallFigures::default(), figures()] {
            assert_eq!(CallFigures::from_bytes(&figures.to_bytes()), Ok(figures));
        }
        assert_eq!(CallFigures::from_bytes(&[]), Ok(CallFigures::default()));
    }

    #[test]
    fn one_call_takes_less_than_a_hundred_bytes() {
        let metrics = CallMetrics { ai_latency_ms: Some(600), mos: Some(4.4), ..CallMetrics::default() };
        let one = CallFigures::of_call(CallStatus::Disconnected, 42, &metrics, &[]);
        assert!(one.to_bytes().len() < 100, "{}", one.to_bytes().len());
    }

    #[test]
    fn damaged_bytes_are_refused_without_a_panic() {
        let bytes = figures().to_bytes();
        for end in 1..bytes.len() {
            assert_eq!(CallFigures::from_bytes(&bytes[..end]), Err(InvalidFigures), "{end} bytes");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(CallFigures::from_bytes(&longer), Err(InvalidFigures));
        for place in 0..bytes.len() {
            for value in [0, 0x7f, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[place] = value;
                // Whatever it is read as can be written and read again.
                if let Ok(read) = CallFigures::from_bytes(&damaged) {
                    assert_eq!(CallFigures::from_bytes(&read.to_bytes()), Ok(read));
                }
            }
        }
    }
}
