//! Files of environment variables (`.env`): `NAME=VALUE` lines, comments, quotes. Values are not interpolated, the process
//! environment is not changed, and an error names the line but never shows it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use telepath_core::secret::SecretText;

use crate::error::Error;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// The variables of a file. A later line wins over an earlier one.
#[derive(Debug, Default)]
pub struct EnvFile(BTreeMap<String, SecretText>);

impl EnvFile {
    /// Reads a file. Logs a warning if other users of the machine can read it.
    ///
    /// # Errors
    /// [`Error::EnvFile`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let failed = |problem: String| Error::EnvFile { path: path.to_owned(), problem };
        let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
        if file.metadata().is_ok_and(|data| data.permissions().mode() & 0o077 != 0) {
            tracing::warn!(path = %path.display(), "other users of this machine can read this file; run chmod 600 on it");
        }
        let mut text = String::new();
        file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
        if text.len() as u64 > MAX_FILE {
            return Err(failed(format!("is larger than {MAX_FILE} bytes")));
        }
        Self::parse(&text).map_err(|line| failed(format!("line {line} is not NAME=VALUE")))
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&SecretText> {
        self.0.get(name)
    }

    /// Fails with the number of the invalid line.
    fn parse(text: &str) -> Result<Self, usize> {
        let mut variables = BTreeMap::new();
        for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = assignment(line).ok_or(at + 1)?;
            variables.insert(name, SecretText::new(value));
        }
        Ok(Self(variables))
    }
}

fn assignment(line: &str) -> Option<(String, String)> {
    let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
    let name = name.trim();
    let is_name = !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some(())?;
    Some((name.to_owned(), unquote(value.trim())?))
}

fn unquote(value: &str) -> Option<String> {
    let Some(quote) = value.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        let end = if value.starts_with('#') { Some(0) } else { value.find(" #") };
        return Some(end.map_or(value, |end| &value[..end]).trim_end().to_owned());
    };
    let mut text = String::with_capacity(value.len());
    let mut rest = value[1..].chars();
    loop {
        match rest.next()? {
            next if next == quote => break,
            '\\' if quote == '"' => text.push(escaped(rest.next()?)?),
            next => text.push(next),
        }
    }
    let behind = rest.as_str().trim_start();
    (behind.is_empty() || behind.starts_with('#')).then_some(text)
}

fn escaped(character: char) -> Option<char> {
    match character {
        'n' => Some('\n'),
        '"' | '\\' | '$' => Some(character),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> Option<String> {
        let file = EnvFile::parse(line).ok()?;
        file.get("A").map(|value| value.expose().to_owned())
    }

    #[test]
    fn values_may_be_quoted_and_end_at_a_comment() {
        for (line, wanted) in [
            ("A=b", "b"),
            (" export A = b ", "b"),
            ("A=b # c", "b"),
            ("A=b#c", "b#c"),
            ("A='b # $C \\n'", "b # $C \\n"),
            ("A=\"b \\\"c\\\" \\\\ \\n$D\" # e", "b \"c\" \\ \n$D"),
            ("# x\n\nA=1\nA=2", "2"),
            ("\u{feff}A=b\r\n", "b"),
            ("A=", ""),
            ("A= # nothing", ""),
        ] {
            assert_eq!(value(line).as_deref(), Some(wanted), "{line}");
        }
    }

    #[test]
    fn an_invalid_line_is_named_by_its_number_and_not_shown() {
        for line in ["A", "=b", "1A=b", "A B=c", "A='b", "A=\"b\" c", "A=\"\\x\""] {
            assert_eq!(EnvFile::parse(&format!("OK=1\n{line}")).unwrap_err(), 2, "{line}");
        }
        let path = std::env::temp_dir().join(format!("telepath-client-{}.env", std::process::id()));
        std::fs::write(&path, "TELEPATH_API_KEY sk_live_secret\n").unwrap();
        let error = EnvFile::read(&path).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("line 1") && !shown.contains("sk_live"), "{shown}");
    }

    #[test]
    fn a_file_over_the_size_limit_is_refused() {
        assert!(matches!(EnvFile::read(Path::new("/dev/zero")), Err(Error::EnvFile { .. })));
    }
}
