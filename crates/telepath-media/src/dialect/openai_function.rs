//! Functions as both APIs of `OpenAI` write them.

use super::tools::{ToolDefinition, ToolResult};
use serde_json::{Value, json};

/// A function that the model may call.
pub(super) fn function(tool: &ToolDefinition) -> Value {
    json!({
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters_object(),
    })
}

/// The item with the result of a call.
pub(super) fn function_call_output(result: &ToolResult) -> Value {
    let output = match &result.output {
        Ok(text) => text.clone(),
        Err(text) => json!({"error": text}).to_string(),
    };
    json!({"type": "function_call_output", "call_id": result.id.as_str(), "output": output})
}
