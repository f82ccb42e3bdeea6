//! The media of a test caller: plays samples in real time, records what it receives, and measures the echo.
//!
//! The echo delay is measured per packet. Every payload that was sent exactly once is known by its hash, so the packet
//! that brings it back gives the exact delay. This works through an agent because G.711 decoding and encoding is
//! lossless. G.722 is not, so there the delay is not measured.

use crate::audio_converter::AudioConverter;
use crate::audio_format::{AudioEncoding, AudioFormat};
use crate::codec::AudioCodec;
use crate::histogram::Histogram;
use crate::media_clock::{FRAME_DURATION, FRAME_SAMPLES, SAMPLE_RATE, samples_in};
use crate::payload::{PayloadDecoder, PayloadEncoder};
use crate::playout::StreamStart;
use crate::rtp::{Datagram, Delivery, PayloadType, ReceptionStatistics, RtpHeader, RtpPacket, RtpReceiver};
use crate::sdp::Negotiated;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::time::{Duration, Instant};

/// Maximum length of a recording; later audio is discarded.
pub const RECORDING_LIMIT: Duration = Duration::from_hours(1);

/// The format of what is played and recorded.
const PCM: AudioFormat = AudioFormat::pcm16(SAMPLE_RATE);

/// An echo that takes longer is late: one frame.
pub const LATE_ECHO: Duration = Duration::from_millis(20);

/// Echo delays of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EchoStats {
    /// Packets sent with a unique payload, whose echo can be recognized.
    pub distinct: u64,
    /// Packets among these that came back.
    pub matched: u64,
    /// Median echo delay, accurate within 1/8.
    pub p50: Option<Duration>,
    /// 99th percentile of the echo delay, accurate within 1/8.
    pub p99: Option<Duration>,
    /// Maximum echo delay.
    pub max: Option<Duration>,
    /// Echoes that took longer than [`LATE_ECHO`].
    pub late: u64,
}

#[derive(Debug, Clone, Copy)]
enum SentPayload {
    Unique { sent_at: Instant },
    Echoed,
    Repeated,
}

/// Recognizes sent payloads when they come back.
#[derive(Debug, Default)]
struct EchoMeter {
    sent: HashMap<u64, SentPayload>,
    delays: Histogram,
    max: Option<Duration>,
    late: u64,
}

impl EchoMeter {
    fn record_sent(&mut self, codec: AudioCodec, payload: &[u8], now: Instant) {
        let Some(fingerprint) = fingerprint(codec, payload) else { return };
        let entry = self.sent.entry(fingerprint);
        entry
            .and_modify(|sent| *sent = SentPayload::Repeated)
            .or_insert(SentPayload::Unique { sent_at: now });
    }

    fn record_received(&mut self, codec: AudioCodec, payload: &[u8], now: Instant) {
        if let Some(fingerprint) = fingerprint(codec, payload)
            && let Some(sent) = self.sent.get_mut(&fingerprint)
            && let SentPayload::Unique { sent_at } = *sent
        {
            let delay = now.saturating_duration_since(sent_at);
            self.late += u64::from(delay > LATE_ECHO);
            *sent = SentPayload::Echoed;
            self.delays.record(delay);
            self.max = self.max.max(Some(delay));
        }
    }

    fn stats(&self) -> EchoStats {
        let distinct =
            self.sent.values().filter(|sent| !matches!(sent, SentPayload::Repeated)).count() as u64;
        EchoStats {
            distinct,
            matched: self.delays.count(),
            p50: self.delays.median(),
            p99: self.delays.percentile(99),
            max: self.max,
            late: self.late,
        }
    }
}

/// A hash of the decoded audio, so that bytes with the same value (the two zeros of µ-law) hash alike. `None` if the codec
/// is lossy, so that an echo would have another one.
fn fingerprint(codec: AudioCodec, payload: &[u8]) -> Option<u64> {
    let format = AudioFormat::same_as(codec)?;
    let mut hasher = DefaultHasher::new();
    format.samples(payload).for_each(|sample| hasher.write_i16(sample));
    Some(hasher.finish())
}

/// The received audio.
#[derive(Debug)]
struct Recorder {
    decoder: PayloadDecoder,
    converter: AudioConverter,
    /// The latest audio in the format of the leg, and as PCM; the memory is reused.
    audio: Vec<u8>,
    pcm: Vec<u8>,
    samples: Vec<i16>,
}

impl Recorder {
    fn new(codec: AudioCodec) -> Self {
        Self {
            decoder: PayloadDecoder::new(codec),
            converter: AudioConverter::new(AudioFormat::of_leg(codec), PCM),
            audio: Vec::new(),
            pcm: Vec::new(),
            samples: Vec::new(),
        }
    }

    fn record(&mut self, delivery: Delivery<'_>) {
        let limit = usize::try_from(samples_in(RECORDING_LIMIT)).unwrap_or(usize::MAX);
        let remaining = limit.saturating_sub(self.samples.len());
        self.audio.clear();
        match delivery {
            Delivery::Audio { payload, arrival: _ } => self.decoder.decode(payload, &mut self.audio),
            Delivery::Silence { samples, cause: _ } => {
                let count = usize::try_from(samples).unwrap_or(usize::MAX).min(remaining);
                AudioFormat::of_leg(self.decoder.codec()).append_silence(count, &mut self.audio);
            }
            Delivery::SourceChanged => self.decoder.reset(),
            Delivery::Event { .. } => {}
        }
        self.pcm.clear();
        self.converter.convert(&self.audio, &mut self.pcm);
        self.samples.extend(PCM.samples(&self.pcm).take(remaining));
    }
}

/// The media side of a test caller.
#[derive(Debug)]
pub struct TestCaller {
    encoder: PayloadEncoder,
    /// From the samples to the format of the leg.
    converter: AudioConverter,
    header: RtpHeader,
    samples: Vec<i16>,
    frames_sent: u32,
    origin: Instant,
    audio_received: PayloadType,
    receiver: RtpReceiver,
    recorder: Recorder,
    meter: EchoMeter,
}

impl TestCaller {
    /// Plays `samples`, at 8 kHz, from `origin` on in packets of 20 ms; the last one is padded with silence.
    pub fn new(media: &Negotiated, start: StreamStart, samples: Vec<i16>, origin: Instant) -> Self {
        Self {
            encoder: PayloadEncoder::new(media.codec),
            converter: AudioConverter::new(PCM, AudioFormat::of_leg(media.codec)),
            header: RtpHeader {
                marker: true,
                payload_type: media.send.audio,
                sequence: start.sequence,
                timestamp: start.timestamp,
                ssrc: start.ssrc,
            },
            samples,
            frames_sent: 0,
            origin,
            audio_received: media.receive.audio,
            receiver: RtpReceiver::new(media.receive),
            recorder: Recorder::new(media.codec),
            meter: EchoMeter::default(),
        }
    }

    /// When the next packet is due; `None` once everything was sent. Due times are counted from the origin, so a late
    /// packet does not delay the ones after it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.position() < self.samples.len()).then(|| self.origin + FRAME_DURATION * self.frames_sent)
    }

    /// The next packet due at `now`. Call this until it returns `None`.
    pub fn poll_packet(&mut self, now: Instant) -> Option<Datagram> {
        self.poll_timeout().filter(|&due| now >= due)?;
        let rest = &self.samples[self.position()..];
        let (mut pcm, mut frame) = (Vec::new(), Vec::new());
        AudioEncoding::Pcm16.append(rest.iter().take(FRAME_SAMPLES).copied(), &mut pcm);
        self.converter.convert(&pcm, &mut frame);
        let payload = self.encoder.encode(&frame);
        let datagram = Datagram::new(self.header, &payload);
        self.meter.record_sent(self.encoder.codec(), &payload, now);
        self.frames_sent += 1;
        self.header.marker = false;
        self.header.sequence = self.header.sequence.next();
        self.header.timestamp = self.header.timestamp.after(FRAME_SAMPLES as u64);
        Some(datagram)
    }

    /// A datagram was read from the media socket. Anything but RTP is ignored.
    pub fn handle_rtp(&mut self, bytes: &[u8], now: Instant) {
        let Ok(packet) = RtpPacket::parse(bytes) else { return };
        if packet.header.payload_type == self.audio_received {
            self.meter.record_received(self.encoder.codec(), packet.payload, now);
        }
        let recorder = &mut self.recorder;
        self.receiver.handle(packet, now, &mut |delivery| recorder.record(delivery));
    }

    /// Ends the recording with the packets that are still waiting behind a gap.
    pub fn finish(&mut self) {
        let recorder = &mut self.recorder;
        self.receiver.flush(&mut |delivery| recorder.record(delivery));
    }

    /// The received audio so far, at 8 kHz, with silence in place of lost packets and pauses.
    pub fn recording(&self) -> &[i16] {
        &self.recorder.samples
    }

    /// Reception statistics so far.
    pub fn statistics(&self) -> &ReceptionStatistics {
        self.receiver.statistics()
    }

    /// The echo delays so far.
    pub fn echo(&self) -> EchoStats {
        self.meter.stats()
    }

    fn position(&self) -> usize {
        self.frames_sent as usize * FRAME_SAMPLES
    }
}
