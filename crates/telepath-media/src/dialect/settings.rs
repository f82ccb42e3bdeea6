//! What a dialect is built from. It contains no secret; the gateway adds credentials to the connection.

/// The dialect of an agent, with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialectConfig {
    /// `telepath.v1`.
    TelepathV1,
}
