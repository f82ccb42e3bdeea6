//! The cost of 20 ms of audio: G.711, G.722, and changes of the sampling rate.

use std::hint::black_box;

use criterion::Criterion;
use telepath_media::g722::{Decoder, Encoder, SAMPLES_PER_BYTE};
use telepath_media::resample::Resampler;
use telepath_media::{g711, tone};

/// Bytes of a frame of G.711 or G.722.
const FRAME: usize = 160;
const PAIRS: [(u32, u32); 6] =
    [(8000, 16_000), (16_000, 8000), (8000, 24_000), (24_000, 8000), (16_000, 24_000), (24_000, 16_000)];

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("codecs");
    // Two tones, so that both bands of G.722 have something to code.
    let low = tone::sine(tone::Hertz(310.0), 9000, 50 * 3 * FRAME);
    let high = tone::sine(tone::Hertz(2600.0), 5000, 50 * 3 * FRAME);
    let signal: Vec<i16> = low.iter().zip(&high).map(|(a, b)| a + b).collect();

    let companded: Vec<u8> = signal.iter().map(|&sample| g711::mu_encode(sample)).collect();
    let mut frames = companded.chunks_exact(FRAME).cycle();
    group.bench_function("g711-transcode", |bench| {
        bench.iter(|| {
            let frame = frames.next().unwrap_or_default();
            frame.iter().fold(0, |all, &code| all ^ g711::a_encode(g711::mu_decode(black_box(code))))
        });
    });

    let mut encoder = Encoder::default();
    let mut frames = signal.chunks_exact(FRAME * SAMPLES_PER_BYTE).cycle();
    group.bench_function("g722-encode", |bench| {
        bench.iter(|| {
            let frame = frames.next().unwrap_or_default();
            frame.chunks_exact(2).fold(0, |all, pair| all ^ encoder.encode(black_box([pair[0], pair[1]])))
        });
    });

    let mut encoder = Encoder::default();
    let coded: Vec<u8> = signal.chunks_exact(2).map(|pair| encoder.encode([pair[0], pair[1]])).collect();
    let mut decoder = Decoder::default();
    let mut frames = coded.chunks_exact(FRAME).cycle();
    group.bench_function("g722-decode", |bench| {
        bench.iter(|| {
            let frame = frames.next().unwrap_or_default();
            frame.iter().fold(0, |all, &byte| all ^ decoder.decode(black_box(byte))[1])
        });
    });

    for (from, to) in PAIRS {
        let Some(mut resampler) = Resampler::new(from, to) else { anyhow::bail!("{from} Hz to {to} Hz") };
        let mut output = Vec::new();
        let mut frames = signal.chunks_exact(FRAME * from as usize / 8000).cycle();
        group.bench_function(format!("resample-{}-{}", from / 1000, to / 1000), |bench| {
            bench.iter(|| {
                output.clear();
                resampler.process(black_box(frames.next().unwrap_or_default()), &mut output);
                output.len()
            });
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
