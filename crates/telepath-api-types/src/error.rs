//! The body of every error response: `{"error": {…}}`.

use serde::{Deserialize, Serialize};
use telepath_core::validation;

/// The envelope. The OpenAPI document describes it as the schema `Error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorEnvelope {
    pub error: ErrorBody,
}

/// Why a request was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The code, such as `INVALID_API_KEY`.
    pub code: String,
    /// One sentence, not for programs.
    pub message: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// The id under which the server logged the request.
    #[serde(default)]
    pub request_id: Option<String>,
    /// The invalid parameters or members of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<FieldError>,
    /// The scope that the key lacks, with `INSUFFICIENT_SCOPE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_scope: Option<String>,
}

/// An invalid parameter or member of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The member, such as `scopes[0]`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl From<validation::FieldError> for FieldError {
    fn from(validation::FieldError { field, message }: validation::FieldError) -> Self {
        Self { field, message }
    }
}
