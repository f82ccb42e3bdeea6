//! Converts the bridge's report to the metrics and turns of the call record.

use std::time::Duration;

use telepath_core::call::{
    CallMetrics, CallerAction, CallerActionKind, CarrierLagSource, DtmfMethod, MAX_CALLER_ACTIONS, MAX_TURNS,
    MediaCounts, Speaker, Turn,
};
use telepath_media::call_report::CallReport;
use telepath_media::caller_actions::{self, TimedCallerAction};
use telepath_media::rtcp::PeerReception;
use telepath_media::turns::{MeasuredTurn, TurnSpeaker};

use crate::codec;
use crate::options::DtmfRecords;

/// Milliseconds per play-out frame.
const FRAME_MS: u64 = 20;

pub(super) fn metrics(report: &CallReport, rtp_sent: u64) -> CallMetrics {
    let received = &report.received;
    let (rtcp, peer) = (report.rtcp, report.rtcp.peer);
    let (carrier_lag, source) = match rtcp.round_trip {
        Some(round_trip) => (Some(round_trip / 2), CarrierLagSource::Rtcp),
        None => (report.carrier_lag, CarrierLagSource::FirstRtp),
    };
    CallMetrics {
        carrier_lag_ms: carrier_lag.map(whole_ms),
        carrier_lag_source: carrier_lag.map(|_| source),
        rtt_ms: rtcp.round_trip.map(|time| hundredths(time.as_secs_f64() * 1000.0)),
        ai_latency_ms: report.ai_latency.map(whole_ms),
        gateway_processing_ms: report.gateway_processing.map(ms_rounded_up),
        gateway_processing_us: report.gateway_processing.map(|time| saturate(time.as_micros())),
        time_to_first_speech_ms: report.time_to_first_speech.map(whole_ms),
        packet_loss_percent: (report.packets_received > 0).then_some(hundredths(report.packet_loss_percent)),
        jitter_ms: (report.packets_received > 0).then_some(hundredths(report.jitter.as_secs_f64() * 1000.0)),
        remote_packet_loss_percent: peer.and_then(PeerReception::loss_percent).map(hundredths),
        remote_jitter_ms: peer.map(|peer| hundredths(peer.jitter().as_secs_f64() * 1000.0)),
        mos: report.mos.map(hundredths),
        codec_used: Some(codec::to_core(report.codec_used)),
        srtp_suite: report.crypto_suite.map(codec::suite_to_core),
        counts: MediaCounts {
            rtp_received: report.packets_received,
            rtp_sent,
            rtp_lost: report.packets_lost,
            rtp_late: received.late,
            rtp_duplicate: received.duplicates,
            rtp_malformed: report.bridge.malformed_rtp,
            rtp_foreign_address: report.bridge.foreign_address,
            rtp_unknown_payload: received.unknown_payload,
            rtp_foreign_source: received.foreign_source,
            rtp_unconfirmed_jumps: received.unconfirmed_jumps,
            rtp_unauthenticated: report.srtp.unauthenticated,
            rtp_replayed: report.srtp.replayed,
            rtp_invalid: report.bridge.malformed_rtp
                + report.bridge.foreign_address
                + received.unknown_payload
                + received.unconfirmed_jumps
                + report.srtp.unauthenticated
                + report.srtp.replayed
                + received.foreign_source,
            playout_overflow_ms: report.played.overflowed * FRAME_MS,
            playout_cleared_ms: report.played.cleared * FRAME_MS,
            agent_frames_dropped: report.bridge.agent_audio_dropped,
            rtp_sent_late: report.played.late,
            telephone_events_ignored: report.bridge.telephone_events_ignored,
            caller_actions_omitted: report.bridge.caller_actions_omitted,
        },
    }
}

pub(super) fn turns(report: &CallReport) -> Vec<Turn> {
    report.turns.iter().take(MAX_TURNS).map(turn).collect()
}

/// What the caller did beside speaking.
pub(super) fn caller_actions(report: &CallReport, digits: DtmfRecords) -> Vec<CallerAction> {
    report
        .caller_actions
        .iter()
        .take(MAX_CALLER_ACTIONS)
        .map(|action| caller_action(action, digits))
        .collect()
}

fn caller_action(timed: &TimedCallerAction, digits: DtmfRecords) -> CallerAction {
    let at_ms = u64::try_from(timed.at.as_millis()).unwrap_or(u64::MAX);
    match timed.action {
        caller_actions::CallerAction::Dtmf { digit, method } => CallerAction {
            at_ms,
            kind: CallerActionKind::Dtmf,
            digit: match digits {
                DtmfRecords::Masked => None,
                DtmfRecords::Digits => Some(digit.to_char()),
            },
            method: Some(match method {
                caller_actions::DtmfMethod::TelephoneEvent => DtmfMethod::Rtp,
                caller_actions::DtmfMethod::Info => DtmfMethod::Info,
            }),
        },
        caller_actions::CallerAction::Hold => {
            CallerAction { at_ms, kind: CallerActionKind::Hold, digit: None, method: None }
        }
        caller_actions::CallerAction::Resume => {
            CallerAction { at_ms, kind: CallerActionKind::Resume, digit: None, method: None }
        }
    }
}

fn turn(turn: &MeasuredTurn) -> Turn {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Turn {
        turn_number: turn.number,
        speaker: match turn.speaker {
            TurnSpeaker::Caller => Speaker::Caller,
            TurnSpeaker::Agent => Speaker::Agent,
        },
        started_ms: ms(turn.started),
        duration_ms: ms(turn.duration),
        processing_time_ms: turn.latency.map_or(0, ms),
        interrupted: turn.interrupted,
    }
}

/// Rounds to two decimals; the measurement is not more precise.
fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn whole_ms(time: Duration) -> u32 {
    saturate(time.as_millis())
}

fn ms_rounded_up(time: Duration) -> u32 {
    saturate(time.as_micros().div_ceil(1000))
}

fn saturate(value: u128) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
