use telepath_core::entropy::SystemEntropy;

use super::*;
use crate::temporary::TemporaryFolder;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_new_data_folder_has_mode_0700() {
    let parent = TemporaryFolder::new();
    let data = DataDir::open(&parent.path().join("a/b")).unwrap();
    assert_eq!(mode(data.path()), 0o700);
}

#[test]
fn an_empty_folder_is_restricted_and_a_foreign_folder_is_left_alone() {
    let empty = TemporaryFolder::new();
    set_mode(empty.path(), 0o755);
    DataDir::open(empty.path()).unwrap();
    assert_eq!(mode(empty.path()), 0o700);

    let foreign = TemporaryFolder::new();
    set_mode(foreign.path(), 0o755);
    fs::write(foreign.path().join("letter.txt"), "x").unwrap();
    let failure = DataDir::open(foreign.path()).unwrap_err();
    assert_eq!(failure.exit, Exit::Config);
    assert_eq!(mode(foreign.path()), 0o755);
    assert!(DataDir::open(&foreign.path().join("letter.txt")).is_err(), "a file is not a folder");
}

#[test]
fn a_data_folder_is_locked_by_one_process() {
    let folder = TemporaryFolder::new();
    let data = DataDir::open(folder.path()).unwrap();
    let lock = data.lock().unwrap();
    assert!(data.try_lock().unwrap().is_none());
    let failure = data.lock().unwrap_err();
    assert_eq!(failure.exit, Exit::Busy);
    assert!(failure.message.contains(&std::process::id().to_string()), "{failure}");
    drop(lock);
    assert!(data.try_lock().unwrap().is_some());
}

#[test]
fn the_master_key_is_created_once_with_mode_0600() {
    let folder = TemporaryFolder::new();
    let data = DataDir::open(folder.path()).unwrap();
    let entropy = SystemEntropy::default();
    let first = data.load_master_key(None, false, &entropy).unwrap();
    assert_eq!(mode(&data.master_key()), 0o600);
    let again = data.load_master_key(None, true, &entropy).unwrap();
    assert_eq!(first.key.to_text().expose(), again.key.to_text().expose());
    assert!(first.is_new && !again.is_new);

    set_mode(&data.master_key(), 0o640);
    let failure = data.load_master_key(None, true, &entropy).unwrap_err();
    assert!(failure.to_string().contains("640") && failure.to_string().contains("chmod 600"), "{failure}");
}

#[test]
fn no_master_key_is_created_beside_an_existing_database() {
    let folder = TemporaryFolder::new();
    let data = DataDir::open(folder.path()).unwrap();
    let entropy = SystemEntropy::default();
    let failure = data.load_master_key(None, true, &entropy).unwrap_err();
    assert!(failure.message.contains("master key"), "{failure}");
    assert!(!data.master_key().exists());
    let configured = MasterKeyText::fresh();
    assert!(data.load_master_key(Some(&configured.0), true, &entropy).is_ok());
    let wrong = telepath_core::secret::SecretText::new("hidden".to_owned());
    let failure = data.load_master_key(Some(&wrong), true, &entropy).unwrap_err();
    assert!(!failure.to_string().contains("hidden"));
}

struct MasterKeyText(telepath_core::secret::SecretText);

impl MasterKeyText {
    fn fresh() -> Self {
        Self(telepath_core::vault::MasterKey::generate(&SystemEntropy::default()).unwrap().to_text())
    }
}

#[test]
fn a_socket_path_that_is_too_long_is_rejected() {
    let folder = TemporaryFolder::new();
    let data = DataDir::open(&folder.path().join("x".repeat(110))).unwrap();
    assert_eq!(data.admin_socket().unwrap_err().exit, Exit::Config);
    let short = TemporaryFolder::new();
    assert!(DataDir::open(short.path()).unwrap().admin_socket().is_ok());
}
