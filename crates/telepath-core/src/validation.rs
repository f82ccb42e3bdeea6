//! Validation of input. A draft (a body or a command line as received) is converted into a checked type. All problems are
//! collected, so that the caller sees all of them at once.

/// The message for a text that contains an API key.
pub const MUST_NOT_CONTAIN_KEY: &str = "must not contain an API key";

/// One problem with one member of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The member, such as `allowed_ips[2]`.
    pub field: String,
    /// What a valid value is.
    pub message: String,
}

/// Why a draft was refused: at least one missing or invalid member.
#[derive(Debug, Clone, PartialEq, Eq, Default, thiserror::Error)]
#[error("{}", self.summary())]
pub struct Invalid {
    missing: Vec<FieldError>,
    wrong: Vec<FieldError>,
}

impl Invalid {
    /// A single wrong member.
    pub fn one(field: &str, message: impl Into<String>) -> Self {
        let mut problems = Self::default();
        problems.wrong(field, message);
        problems
    }

    /// Notes a required member that is not there.
    pub fn missing(&mut self, field: &str) {
        let message = format!("Missing required field: {field}");
        self.missing.push(FieldError { field: field.to_owned(), message });
    }

    /// Notes a member with a wrong value.
    pub fn wrong(&mut self, field: &str, message: impl Into<String>) {
        self.wrong.push(FieldError { field: field.to_owned(), message: message.into() });
    }

    /// Keeps the value of a check, or notes its error and gives `None`.
    pub fn keep<T>(&mut self, field: &str, checked: Result<T, impl std::fmt::Display>) -> Option<T> {
        checked.map_err(|problem| self.wrong(field, problem.to_string())).ok()
    }

    /// Like [`Invalid::keep`] for a member that must be there.
    pub fn require<T, R, E: std::fmt::Display>(
        &mut self,
        field: &str,
        raw: Option<R>,
        check: impl FnOnce(R) -> Result<T, E>,
    ) -> Option<T> {
        if raw.is_none() {
            self.missing(field);
        }
        self.optional(field, raw, check)
    }

    /// Like [`Invalid::keep`] for a member that may be left out.
    pub fn optional<T, R, E: std::fmt::Display>(
        &mut self,
        field: &str,
        raw: Option<R>,
        check: impl FnOnce(R) -> Result<T, E>,
    ) -> Option<T> {
        raw.and_then(|raw| self.keep(field, check(raw)))
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.wrong.is_empty()
    }

    /// The first missing member, if members are missing.
    pub fn first_missing(&self) -> Option<&str> {
        self.missing.first().map(|problem| problem.field.as_str())
    }

    /// One sentence: the first problem, the missing ones first.
    pub fn summary(&self) -> String {
        match (self.missing.first(), self.wrong.first()) {
            (Some(missing), _) => missing.message.clone(),
            (None, Some(wrong)) => format!("{} {}", wrong.field, wrong.message),
            (None, None) => "no problem was found".to_owned(),
        }
    }

    /// All problems, the missing members first.
    pub fn into_details(self) -> Vec<FieldError> {
        self.missing.into_iter().chain(self.wrong).collect()
    }
}

/// Text whose length in characters is within bounds, without control characters but for those listed.
pub fn bounded_text(text: String, shortest: usize, longest: usize, also: &[char]) -> Result<String, String> {
    let length = text.chars().count();
    if !(shortest..=longest).contains(&length) {
        return Err(format!("must have {shortest} to {longest} characters"));
    }
    if text.chars().any(|c| c.is_control() && !also.contains(&c)) {
        return Err("must not hold control characters".to_owned());
    }
    Ok(text)
}
