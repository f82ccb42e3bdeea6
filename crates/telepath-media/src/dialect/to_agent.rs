//! Events for an agent, in terms that all dialects share.

use super::call_context::{CallContext, StopReason};
use super::fault::{AgentFault, TransferFailure};
use super::tools::ToolResult;
use crate::codec::AudioCodec;
use crate::dtmf::Digit;
use crate::playout::{ItemPlayback, MarkName};

/// An event for the agent.
#[derive(Debug)]
pub enum ToAgent<'a> {
    /// The first event on the socket.
    Start {
        /// Identity and settings of the call.
        call: &'a CallContext,
        /// Codec of the carrier leg.
        codec: AudioCodec,
    },
    /// The caller started speaking, according to the built-in detector.
    SpeechStarted,
    /// The caller stopped speaking, according to the built-in detector.
    SpeechStopped,
    /// The caller pressed a key.
    Dtmf(Digit),
    /// The audio before a mark has been played or cleared.
    Mark {
        /// The agent's name for the mark.
        name: &'a MarkName,
        /// Whether audio before the mark was cleared.
        cleared: bool,
    },
    /// Queued agent audio was flushed. The items that were in the queue, in order, and the latest one.
    Flushed(&'a [ItemPlayback]),
    /// The result of a tool call.
    ToolResult(&'a ToolResult),
    /// The caller put the call on hold.
    Hold,
    /// The caller resumed the call.
    Resume,
    /// The call is over. The last event on the socket.
    Stop(StopReason),
    /// A frame from the agent was malformed or could not be carried out.
    Error(AgentFault),
    /// A transfer did not take place, and the call goes on.
    TransferFailed {
        /// Why, for programs.
        failure: TransferFailure,
        /// Why, in words.
        message: &'a str,
    },
}
