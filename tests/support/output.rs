//! The output of tests: logs, which are kept, data folders, which are not, and the list of secrets.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The folder of logs: `TELEPATH_TEST_OUTPUT`, or `target/test-output`.
fn output_folder() -> PathBuf {
    let folder = std::env::var_os("TELEPATH_TEST_OUTPUT")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-output"), PathBuf::from);
    fs::create_dir_all(&folder).expect("the folder of test output can be made");
    folder
}

/// A number unique in this run. It is short because the path of a Unix socket has at most 107 bytes.
pub(crate) fn unique() -> String {
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An empty data folder. It is removed on drop, unless `scripts/test` searches it for secrets first.
pub(crate) struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let kept = std::env::var_os("TELEPATH_TEST_SCRATCH").map(PathBuf::from);
        let keep = kept.is_some();
        let path = kept.unwrap_or_else(std::env::temp_dir).join(format!("tp-{}", unique()));
        fs::create_dir_all(&path).expect("a folder for the test can be made");
        Self { path, keep }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            // Nothing uses it any more.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The log file of a process.
pub(crate) fn log_file(what: &str) -> (PathBuf, File) {
    let folder = output_folder().join("logs");
    fs::create_dir_all(&folder).expect("the folder of logs can be made");
    let path = folder.join(format!("{what}-{}.log", unique()));
    let file = OpenOptions::new().create(true).append(true).open(&path).expect("a log file can be made");
    (path, file)
}

/// Adds a secret to the list that `scripts/test` searches for.
pub(crate) fn note_secret(secret: &str) {
    if secret.len() < 8 {
        return;
    }
    let mut list = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(output_folder().join("secrets.list"))
        .expect("the list of secrets can be opened");
    // One write, so that lines of concurrent tests do not mix.
    list.write_all(format!("{secret}\n").as_bytes()).expect("the list of secrets can be written");
}

/// Adds every API key in a text to the list of secrets. Masked keys do not match.
pub(crate) fn note_keys_in(text: &str) {
    const KEY_LENGTH: usize = 57;
    for prefix in ["sk_live_", "sk_test_"] {
        for (start, _) in text.match_indices(prefix) {
            let Some(key) = text.get(start..start + KEY_LENGTH) else { continue };
            if key[prefix.len()..].bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                note_secret(key);
            }
        }
    }
}
