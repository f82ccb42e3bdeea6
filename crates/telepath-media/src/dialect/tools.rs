//! Tool calls: functions that an agent asks the gateway to call.

use serde_json::{Value, json};

/// Maximum length of the identifier and of the name of a tool call, in bytes.
pub const MAX_TOOL_NAME: usize = 256;
/// Maximum length of the arguments of a tool call, in bytes.
pub const MAX_TOOL_ARGUMENTS: usize = 64 * 1024;

/// The provider's identifier of a tool call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ToolCallId(String);

impl ToolCallId {
    /// `None` if the identifier is empty or longer than [`MAX_TOOL_NAME`].
    pub fn new(text: &str) -> Option<Self> {
        (1..=MAX_TOOL_NAME).contains(&text.len()).then(|| Self(text.to_owned()))
    }

    /// The identifier as the provider wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A call of a tool by the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// Identifies the call, and its result.
    pub id: ToolCallId,
    /// The name of the tool.
    pub name: String,
    /// The arguments, a JSON object as text.
    pub arguments: String,
}

impl ToolCall {
    /// `None` if identifier, name or arguments are too long, or identifier or name are empty.
    pub fn new(id: &str, name: &str, arguments: &str) -> Option<Self> {
        let fits = (1..=MAX_TOOL_NAME).contains(&name.len()) && arguments.len() <= MAX_TOOL_ARGUMENTS;
        let id = ToolCallId::new(id).filter(|_| fits)?;
        Some(Self { id, name: name.to_owned(), arguments: arguments.to_owned() })
    }
}

/// The result of a tool call, for the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolResult {
    /// The call that this answers.
    pub id: ToolCallId,
    /// The name of the tool.
    pub name: String,
    /// What the tool returned, or why it failed. Agents read both as text.
    pub output: Result<String, String>,
}

impl ToolResult {
    /// What the tool returned or why it failed.
    pub fn text(&self) -> &str {
        match &self.output {
            Ok(text) | Err(text) => text,
        }
    }
}

/// A tool that the agent may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolDefinition {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// A JSON Schema of its arguments, as JSON text.
    pub parameters: String,
}

impl ToolDefinition {
    /// The schema of the arguments, or one that permits any if it is not a JSON object.
    pub(super) fn parameters_object(&self) -> Value {
        serde_json::from_str(&self.parameters)
            .ok()
            .filter(Value::is_object)
            .unwrap_or_else(|| json!({"type": "object", "properties": {}}))
    }
}
