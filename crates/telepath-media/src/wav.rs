//! WAVE files of 16-bit mono PCM at 8 kHz, which the test caller plays and records.
//!
//! Any other format is rejected; nothing is resampled.

use crate::media_clock::SAMPLE_RATE;

/// Why a WAVE file was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WavError {
    /// The file has no RIFF/WAVE header.
    #[error("the file is not a WAVE file")]
    NotWave,
    /// A required chunk is missing or truncated.
    #[error("the \"{0}\" chunk of the WAVE file is missing or truncated")]
    Missing(&'static str),
    /// The encoding is not 16-bit PCM.
    #[error("the WAVE file is not 16-bit PCM")]
    NotPcm16,
    /// The file does not have exactly one channel.
    #[error("the WAVE file has {0} channels; it must have one")]
    Channels(u16),
    /// The sampling rate is not 8 kHz.
    #[error("the sampling rate of the WAVE file is {0} Hz; it must be {SAMPLE_RATE} Hz")]
    Rate(u32),
}

/// Reads the samples of a WAVE file.
///
/// # Errors
/// See [`WavError`].
pub fn read(bytes: &[u8]) -> Result<Vec<i16>, WavError> {
    let rest = match bytes.split_first_chunk::<12>() {
        Some((head, rest)) if head.starts_with(b"RIFF") && head.ends_with(b"WAVE") => rest,
        Some(_) | None => return Err(WavError::NotWave),
    };
    check_format(chunk(rest, *b"fmt ").ok_or(WavError::Missing("fmt "))?)?;
    let data = chunk(rest, *b"data").ok_or(WavError::Missing("data"))?;
    Ok(data.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect())
}

/// Writes a WAVE file. Samples beyond 4 GiB are left out, because the format cannot express a longer chunk.
pub fn write(samples: &[i16]) -> Vec<u8> {
    let samples = &samples[..samples.len().min((u32::MAX as usize - 64) / 2)];
    let size = u32::try_from(samples.len() * 2).unwrap_or(u32::MAX - 64);
    let mut bytes = Vec::with_capacity(44 + samples.len() * 2);
    bytes.extend_from_slice(b"RIFF");
    bytes.extend_from_slice(&(36 + size).to_le_bytes());
    bytes.extend_from_slice(b"WAVEfmt ");
    bytes.extend_from_slice(&16u32.to_le_bytes());
    bytes.extend_from_slice(&1u16.to_le_bytes());
    bytes.extend_from_slice(&1u16.to_le_bytes());
    bytes.extend_from_slice(&SAMPLE_RATE.to_le_bytes());
    bytes.extend_from_slice(&(SAMPLE_RATE * 2).to_le_bytes());
    bytes.extend_from_slice(&2u16.to_le_bytes());
    bytes.extend_from_slice(&16u16.to_le_bytes());
    bytes.extend_from_slice(b"data");
    bytes.extend_from_slice(&size.to_le_bytes());
    for sample in samples {
        bytes.extend_from_slice(&sample.to_le_bytes());
    }
    bytes
}

fn check_format(format: &[u8]) -> Result<(), WavError> {
    let field = |at: usize| format.get(at..at + 2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let missing = WavError::Missing("fmt ");
    let (kind, channels) = (field(0).ok_or(missing)?, field(2).ok_or(missing)?);
    let (low, high) = (field(4).ok_or(missing)?, field(6).ok_or(missing)?);
    let bits = field(14).ok_or(missing)?;
    // 0xFFFE is WAVE_FORMAT_EXTENSIBLE; its sub-format starts with the format tag.
    let kind = if kind == 0xfffe { field(24).ok_or(missing)? } else { kind };
    if kind != 1 || bits != 16 {
        return Err(WavError::NotPcm16);
    }
    if channels != 1 {
        return Err(WavError::Channels(channels));
    }
    let rate = u32::from(low) | u32::from(high) << 16;
    if rate == SAMPLE_RATE { Ok(()) } else { Err(WavError::Rate(rate)) }
}

/// Finds a chunk. A chunk that claims to be longer than the file (as streamed files do) ends with the file.
fn chunk(mut rest: &[u8], name: [u8; 4]) -> Option<&[u8]> {
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if head.starts_with(&name) {
            return Some(&after[..length.min(after.len())]);
        }
        // Chunks start at even offsets.
        rest = after.get(length.checked_add(length & 1)?..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_samples_can_be_read_back() {
        let samples: Vec<i16> = (-500..500).map(|n| n * 60).collect();
        assert_eq!(read(&write(&samples)), Ok(samples));
        assert_eq!(read(&write(&[])), Ok(vec![]));
    }

    #[test]
    fn unsupported_formats_are_rejected_with_their_cause() {
        let good = write(&[1, 2, 3]);
        let with = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            read(&bytes)
        };
        assert_eq!(with(0, b'X'), Err(WavError::NotWave));
        assert_eq!(with(20, 7), Err(WavError::NotPcm16));
        assert_eq!(with(22, 2), Err(WavError::Channels(2)));
        assert_eq!(with(24, 0x80), Err(WavError::Rate(8064)));
        assert_eq!(with(36, b'X'), Err(WavError::Missing("data")));
        for length in 0..good.len() {
            let _ = read(&good[..length]);
        }
    }

    #[test]
    fn unknown_chunks_are_skipped() {
        let good = write(&[7, 8]);
        let mut bytes = good[..36].to_vec();
        bytes.extend_from_slice(b"LIST\x03\0\0\0abc\0");
        bytes.extend_from_slice(&good[36..]);
        assert_eq!(read(&bytes), Ok(vec![7, 8]));
    }
}
