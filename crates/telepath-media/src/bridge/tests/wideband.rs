//! Calls whose carrier leg is G.722: 16 kHz audio at the RTP clock of 8 kHz.

use super::openai::{audio, is_audio, new_call, sent};
use super::provider::provider_call;
use super::*;
use crate::dialect::DialectConfig;
use crate::g722::{Decoder, Encoder, SAMPLES_PER_BYTE};
use crate::tone::share_at;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// Samples of a frame at 16 kHz.
const FRAME: usize = 320;

/// A frequency of audio at 16 kHz, as the functions for 8 kHz name it.
fn at_16_khz(hertz: f64) -> Hertz {
    Hertz(hertz / 2.0)
}

/// Frames of a tone at 16 kHz.
fn wide_tone(hertz: f64, frames: usize) -> Vec<i16> {
    sine(at_16_khz(hertz), 8000, frames * FRAME)
}

/// One frame per item, encoded as one stream.
fn encode(encoder: &mut Encoder, samples: &[i16]) -> Vec<Vec<u8>> {
    let payload = |frame: &[i16], encoder: &mut Encoder| {
        frame.chunks_exact(SAMPLES_PER_BYTE).map(|pair| encoder.encode([pair[0], pair[1]])).collect()
    };
    samples.chunks_exact(FRAME).map(|frame| payload(frame, encoder)).collect()
}

fn decode(decoder: &mut Decoder, payload: &[u8]) -> Vec<i16> {
    payload.iter().flat_map(|&byte| decoder.decode(byte)).collect()
}

fn wideband_call() -> TestBridge {
    provider_call(DialectConfig::TelepathV1, AudioCodec::G722)
}

fn renegotiate(test: &mut TestBridge, codec: AudioCodec) {
    let mut other = media(MediaDirection::SendRecv);
    other.codec = codec;
    other.send.audio = codec.static_payload_type();
    other.receive.audio = codec.static_payload_type();
    test.bridge.handle_negotiated(&other, test.now);
}

#[test]
fn a_lost_packet_is_silence_of_its_length_and_the_decoder_sees_only_what_arrived() {
    let mut test = wideband_call();
    let start = test.events_of_type("start")[0].clone();
    assert_eq!((start["codec"].as_str(), start["sample_rate"].as_u64()), (Some("G722"), Some(16_000)));
    let (mut decoder, mut expected) = (Decoder::default(), Vec::new());
    let payloads = encode(&mut Encoder::default(), &wide_tone(5000.0, 50));
    for (n, payload) in (0..).zip(&payloads) {
        if n == 20 {
            expected.extend([0; FRAME]);
        } else {
            test.caller_payload(n, AudioCodec::G722, payload);
            expected.extend(decode(&mut decoder, payload));
        }
        test.run_for(ms(20));
    }
    assert_eq!(test.audio[..expected.len()], expected);
    // More than 4 kHz arrives.
    assert!(share_at(at_16_khz(5000.0), &test.audio[FRAME * 5..FRAME * 20]) > 0.95);
    let report = test.bridge.report(test.now);
    assert_eq!((report.codec_used, report.packets_lost), (AudioCodec::G722, 1));
    assert_eq!(report.received.concealed_samples, 160);
}

#[test]
fn what_is_sent_is_one_stream_of_the_encoder_even_if_queued_audio_is_flushed() {
    let mut test = wideband_call();
    let (first, second) = (wide_tone(700.0, 25), wide_tone(5200.0, 5));
    test.run_for(ms(30));
    let leading = test.packets.len();
    test.agent_audio(&first);
    test.run_for(ms(70));
    let before = test.packets.len() - leading;
    test.agent_text(r#"{"type":"clear"}"#);
    test.run_for(ms(200));
    let silent = test.packets.len() - leading - before;
    test.agent_audio(&second);
    test.run_for(ms(400));
    assert!((3..=5).contains(&before) && (8..=11).contains(&silent), "{before} frames, {silent} of silence");

    let mut audio = vec![0; leading * FRAME];
    audio.extend(&first[..before * FRAME]);
    audio.extend(vec![0; silent * FRAME]);
    audio.extend(&second);
    audio.resize(test.packets.len() * FRAME, 0);
    let expected = encode(&mut Encoder::default(), &audio);
    for (n, (packet, expected)) in test.packets.iter().zip(&expected).enumerate() {
        assert_eq!(&packet.1[12..], expected, "packet {n}");
        assert_eq!(packet.1[1] & 0x7f, 9);
    }
    let parsed: Vec<u32> = test.packets[leading..][..before]
        .windows(2)
        .map(|pair| {
            let [one, next] = [&pair[0].1, &pair[1].1].map(|bytes| RtpPacket::parse(bytes).unwrap().header);
            next.timestamp.0.wrapping_sub(one.timestamp.0)
        })
        .collect();
    assert!(parsed.iter().all(|&ticks| ticks == 160), "one byte is one tick: {parsed:?}");
}

#[test]
fn a_new_source_starts_a_new_stream_for_the_decoder() {
    let mut test = wideband_call();
    let payloads = encode(&mut Encoder::default(), &wide_tone(900.0, 10));
    for (n, payload) in (0..).zip(&payloads) {
        test.caller_payload(n, AudioCodec::G722, payload);
        test.run_for(ms(20));
    }
    let before = test.audio.len();
    test.run_for(ms(200));
    let paused = test.audio.len() - before;
    // The sequence numbers of the restarted sender are unrelated; the second packet confirms it.
    for (n, payload) in (30_000..).zip(&payloads) {
        test.caller_payload(n, AudioCodec::G722, payload);
        test.run_for(ms(20));
    }
    let (mut decoder, expected) = (Decoder::default(), &payloads[1..]);
    let expected: Vec<i16> = expected.iter().flat_map(|payload| decode(&mut decoder, payload)).collect();
    let after = &test.audio[before + paused..];
    assert!(after.windows(expected.len()).any(|window| window == expected), "decoded from the initial state");
}

#[test]
fn a_re_invite_may_change_from_g711_to_g722_and_back_while_the_agent_keeps_its_rate() {
    let mut test = TestBridge::new();
    test.agent_audio(&sine(Hertz(1000.0), 8000, 160 * 20));
    test.run_for(ms(50));
    renegotiate(&mut test, AudioCodec::G722);
    test.packets.clear();
    let payloads = encode(&mut Encoder::default(), &wide_tone(1000.0, 20));
    for (n, payload) in (0..).zip(&payloads) {
        test.caller_payload(n, AudioCodec::G722, payload);
        test.run_for(ms(20));
    }
    assert_eq!(test.audio.len(), 20 * 160, "the agent still gets 8 kHz");
    assert!(share_at(Hertz(1000.0), &test.audio[800..]) > 0.95);
    let mut decoder = Decoder::default();
    let heard: Vec<i16> =
        test.packets.iter().flat_map(|(_, bytes)| decode(&mut decoder, &bytes[12..])).collect();
    assert!(test.packets.iter().all(|(_, bytes)| bytes[1] & 0x7f == 9));
    assert!(share_at(at_16_khz(1000.0), &heard[FRAME * 2..FRAME * 14]) > 0.95, "queued audio is converted");

    renegotiate(&mut test, AudioCodec::Pcma);
    test.packets.clear();
    test.agent_audio(&sine(Hertz(1000.0), 8000, 160 * 5));
    test.run_for(ms(100));
    let heard: Vec<i16> = test
        .packets
        .iter()
        .flat_map(|(_, bytes)| {
            bytes[12..].iter().map(|&code| crate::g711::a_decode(code)).collect::<Vec<_>>()
        })
        .collect();
    assert!(share_at(Hertz(1000.0), &heard[160..640]) > 0.95);
    assert_eq!(test.bridge.report(test.now).codec_used, AudioCodec::Pcma);
}

#[test]
fn speech_is_detected_after_60_ms_at_both_sampling_rates() {
    for (codec, payloads) in [
        (AudioCodec::G722, encode(&mut Encoder::default(), &wide_tone(600.0, 4))),
        (AudioCodec::Pcmu, vec![vec![0x90; 160]; 4]),
    ] {
        let mut test = provider_call(DialectConfig::TelepathV1, codec);
        for (n, payload) in (0..).zip(&payloads) {
            assert_eq!(
                test.events_of_type("speech_started").len(),
                usize::from(n >= 3),
                "{codec}, frame {n}"
            );
            test.caller_payload(n, codec, payload);
            test.run_for(ms(20));
        }
    }
}

#[test]
fn a_provider_at_24_khz_hears_and_says_wideband_audio_and_hears_what_came_before_it_was_ready() {
    let mut test = new_call(AudioCodec::G722);
    sent(&mut test);
    let payloads = encode(&mut Encoder::default(), &wide_tone(5000.0, 100));
    for (n, payload) in (0..).zip(&payloads) {
        test.caller_payload(n, AudioCodec::G722, payload);
        test.run_for(ms(20));
        if n == 19 {
            test.receive(&json!({"type": "session.updated", "session": {}}));
        }
    }
    let heard: Vec<Vec<u8>> = test
        .events
        .iter()
        .filter(|(_, event)| is_audio(event))
        .map(|(_, event)| STANDARD.decode(event["audio"].as_str().unwrap()).unwrap())
        .collect();
    assert_eq!(heard.len(), 100);
    assert!(heard.iter().all(|frame| frame.len() == 960), "20 ms at 24 kHz");
    let samples: Vec<i16> =
        heard.concat().chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    assert!(share_at(Hertz(5000.0 / 3.0), &samples[480 * 5..]) > 0.95);

    let before = test.packets.len();
    let answer: Vec<u8> =
        sine(Hertz(5000.0 / 3.0), 8000, 480 * 20).iter().flat_map(|sample| sample.to_le_bytes()).collect();
    for message in answer.chunks(1001) {
        audio(&mut test, "r1", "i1", message);
    }
    test.run_for(ms(380));
    let mut decoder = Decoder::default();
    let said: Vec<i16> =
        test.packets.iter().flat_map(|(_, bytes)| decode(&mut decoder, &bytes[12..])).collect();
    assert!(share_at(at_16_khz(5000.0), &said[FRAME * (before + 3)..FRAME * (before + 18)]) > 0.95);
}
