use super::{Decoder, Encoder, SAMPLES_PER_BYTE};

/// A signal of `testdata/g722`, whose script made it with two independent implementations.
struct Vector {
    name: &'static str,
    pcm: &'static [u8],
    coded: &'static [u8],
    decoded: &'static [u8],
}

macro_rules! vector {
    ($name:literal) => {
        Vector {
            name: $name,
            pcm: include_bytes!(concat!("../../testdata/g722/", $name, ".pcm")),
            coded: include_bytes!(concat!("../../testdata/g722/", $name, ".g722")),
            decoded: include_bytes!(concat!("../../testdata/g722/", $name, ".out")),
        }
    };
}

const VECTORS: [Vector; 4] = [vector!("tones"), vector!("noise"), vector!("speech"), vector!("overload")];

fn samples(bytes: &[u8]) -> Vec<i16> {
    bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

fn encode(pcm: &[i16]) -> Vec<u8> {
    let mut encoder = Encoder::default();
    pcm.chunks_exact(SAMPLES_PER_BYTE).map(|pair| encoder.encode([pair[0], pair[1]])).collect()
}

fn decode(coded: &[u8]) -> Vec<i16> {
    let mut decoder = Decoder::default();
    coded.iter().flat_map(|&byte| decoder.decode(byte)).collect()
}

fn assert_same<T: PartialEq + std::fmt::Debug>(name: &str, ours: &[T], theirs: &[T]) {
    assert_eq!(ours.len(), theirs.len(), "{name}: length");
    if let Some(at) = ours.iter().zip(theirs).position(|(a, b)| a != b) {
        panic!("{name} differs from {at} on: {:?} instead of {:?}", &ours[at], &theirs[at]);
    }
}

#[test]
fn encoding_equals_two_independent_implementations_bit_for_bit() {
    for vector in VECTORS {
        assert_same(vector.name, &encode(&samples(vector.pcm)), vector.coded);
    }
}

#[test]
fn decoding_equals_two_independent_implementations_bit_for_bit() {
    for vector in VECTORS {
        assert_same(vector.name, &decode(vector.coded), &samples(vector.decoded));
    }
}

#[test]
fn bytes_that_no_encoder_sends_decode_like_two_independent_implementations() {
    let coded = include_bytes!("../../testdata/g722/bytes.g722");
    let decoded = include_bytes!("../../testdata/g722/bytes.out");
    assert_same("bytes", &decode(coded), &samples(decoded));
}

#[test]
fn a_decoder_is_in_step_with_the_encoder_400_ms_after_a_gap() {
    let speech = &VECTORS[2];
    // 20 ms in the middle of a word are lost.
    let (gap, length) = (3200, 160);
    let mut coded = speech.coded.to_vec();
    coded.drain(gap..gap + length);
    let decoded = decode(&coded);
    let whole = samples(speech.decoded);
    let later = (gap + 3200) * SAMPLES_PER_BYTE;
    let expected = &whole[later + length * SAMPLES_PER_BYTE..];
    assert!(expected.iter().any(|sample| sample.unsigned_abs() > 5000), "the test needs speech there");
    assert_same("speech with a gap", &decoded[later..], expected);
    let right_after = gap * SAMPLES_PER_BYTE;
    assert_ne!(decoded[right_after..right_after + 320], whole[right_after + 320..right_after + 640]);
}

#[test]
fn a_tone_in_either_band_comes_back_at_its_own_level() {
    for frequency in [300.0, 1000.0, 3000.0, 5000.0, 6500.0] {
        let pcm: Vec<i16> = (0..8000)
            .map(|n| ((std::f64::consts::TAU * frequency * f64::from(n) / 16_000.0).sin() * 8000.0) as i16)
            .collect();
        let decoded = decode(&encode(&pcm));
        let energy = |samples: &[i16]| samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum::<f64>();
        let decibels = 10.0 * (energy(&decoded[1600..]) / energy(&pcm[1600..])).log10();
        assert!(decibels.abs() < 0.5, "{frequency} Hz: {decibels:.2} dB");
    }
}
