//! Tool calls that wait for their result.

use crate::dialect::{ToolCall, ToolCallId, ToolResult};

/// Maximum number of tool calls that wait at the same time; further ones are refused.
pub const MAX_PENDING_TOOL_CALLS: usize = 16;
/// Maximum length of the result of a tool call, in bytes; a longer one is replaced by an error.
pub const MAX_TOOL_RESULT: usize = 64 * 1024;

/// Why a call is answered without being passed on.
pub(super) const NO_ENDPOINT: &str =
    "this tool is not available in this call, because no tool endpoint is configured; continue without it";
const TOO_MANY: &str = "too many tool calls wait for their results; try again later";
const TOO_LONG: &str = "the result of the tool is too long";

/// Identifier and name of the calls that wait.
#[derive(Debug, Default)]
pub(super) struct ToolCalls(Vec<(ToolCallId, String)>);

impl ToolCalls {
    /// Notes a call, or returns the result that refuses it.
    pub(super) fn begin(&mut self, call: &ToolCall, has_endpoint: bool) -> Result<(), ToolResult> {
        let reason = if !has_endpoint {
            NO_ENDPOINT
        } else if self.0.len() >= MAX_PENDING_TOOL_CALLS {
            TOO_MANY
        } else {
            self.0.push((call.id.clone(), call.name.clone()));
            return Ok(());
        };
        Err(ToolResult { id: call.id.clone(), name: call.name.clone(), output: Err(reason.to_owned()) })
    }

    /// The result for the agent; `None` if the call is unknown, was cancelled or has its result.
    pub(super) fn end(&mut self, id: &ToolCallId, output: Result<String, String>) -> Option<ToolResult> {
        let place = self.0.iter().position(|(pending, _)| pending == id)?;
        let (id, name) = self.0.swap_remove(place);
        let is_long = output.as_ref().is_ok_and(|text| text.len() > MAX_TOOL_RESULT);
        let output = if is_long { Err(TOO_LONG.to_owned()) } else { output };
        Some(ToolResult { id, name, output })
    }

    /// Forgets a call; `false` if it is unknown.
    pub(super) fn cancel(&mut self, id: &ToolCallId) -> bool {
        let before = self.0.len();
        self.0.retain(|(pending, _)| pending != id);
        self.0.len() < before
    }

    /// Forgets all calls.
    pub(super) fn take(&mut self) -> impl Iterator<Item = ToolCallId> + use<> {
        std::mem::take(&mut self.0).into_iter().map(|(id, _)| id)
    }
}
