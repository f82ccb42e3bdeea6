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
fn a_new_data_folder_can_be_passed_through_but_not_listed_by_others() {
    let parent = TemporaryFolder::new();
    let data = DataDir::create(&parent.path().join("a/b")).unwrap();
    assert_eq!(mode(data.path()), 0o711);
}

#[test]
fn an_empty_folder_is_restricted_and_a_foreign_folder_is_left_alone() {
    let empty = TemporaryFolder::new();
    set_mode(empty.path(), 0o755);
    DataDir::create(empty.path()).unwrap();
    assert_eq!(mode(empty.path()), 0o711);

    let foreign = TemporaryFolder::new();
    set_mode(foreign.path(), 0o755);
    fs::write(foreign.path().join("letter.txt"), "x").unwrap();
    let failure = DataDir::create(foreign.path()).unwrap_err();
    assert_eq!(failure.exit, Exit::Config);
    assert_eq!(mode(foreign.path()), 0o755);
    assert!(DataDir::create(&foreign.path().join("letter.txt")).is_err(), "a file is not a folder");
}

#[test]
fn a_stricter_mode_of_an_existing_folder_is_kept() {
    let folder = TemporaryFolder::new();
    set_mode(folder.path(), 0o700);
    DataDir::create(folder.path()).unwrap();
    assert_eq!(mode(folder.path()), 0o700);
}

#[test]
fn only_an_existing_data_folder_is_opened() {
    let parent = TemporaryFolder::new();
    let missing = parent.path().join("a/b");
    let failure = DataDir::open(&missing).unwrap_err();
    assert_eq!(failure.exit, Exit::Config);
    assert!(failure.message.starts_with("there is no data folder at /"), "{failure}");
    assert!(failure.to_string().contains("telepath serve"), "{failure}");
    assert!(!parent.path().join("a").exists());

    let failure = DataDir::open(parent.path()).unwrap_err();
    assert!(failure.message.ends_with("is not a data folder of Telepath"), "{failure}");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);

    let data = DataDir::create(&missing).unwrap();
    drop(data.lock().unwrap());
    let data = DataDir::open(&missing).unwrap();
    let failure = data.require_database().unwrap_err();
    assert!(failure.message.starts_with("there is no database in the data folder /"), "{failure}");
    fs::write(data.database(), "").unwrap();
    data.require_database().unwrap();
}

#[test]
fn a_new_folder_is_discarded_while_it_contains_only_its_lock() {
    let parent = TemporaryFolder::new();
    let path = parent.path().join("a/b");
    let data = DataDir::create(&path).unwrap();
    drop(data.lock().unwrap());
    data.discard_if_new();
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0, "created parents are deleted too");

    let data = DataDir::create(&path).unwrap();
    fs::write(data.master_key(), "x").unwrap();
    data.discard_if_new();
    assert!(data.master_key().exists());

    let existing = TemporaryFolder::new();
    DataDir::create(existing.path()).unwrap().discard_if_new();
    assert!(existing.path().exists(), "an existing folder stays");
}

#[test]
fn a_data_folder_is_locked_by_one_process() {
    let folder = TemporaryFolder::new();
    let data = DataDir::create(folder.path()).unwrap();
    let lock = data.lock().unwrap();
    assert!(data.try_lock().unwrap().is_none());
    let failure = data.lock().unwrap_err();
    assert_eq!(failure.exit, Exit::Busy);
    assert!(failure.message.contains(&std::process::id().to_string()), "{failure}");
    drop(lock);
    assert!(data.try_lock().unwrap().is_some());
}

#[test]
fn a_master_key_has_mode_0600_and_is_rejected_with_another_mode() {
    let folder = TemporaryFolder::new();
    let data = DataDir::create(folder.path()).unwrap();
    assert!(data.read_master_keys().unwrap().is_none());
    let created = data.create_master_key(&SystemEntropy::default()).unwrap();
    assert_eq!(mode(&data.master_key()), 0o600);
    let read = data.read_master_keys().unwrap().unwrap().remove(0);
    assert_eq!(created.to_text().expose(), read.to_text().expose());

    set_mode(&data.master_key(), 0o640);
    let failure = data.read_master_keys().unwrap_err();
    assert!(failure.to_string().contains("640") && failure.to_string().contains("chmod 600"), "{failure}");
}

#[test]
fn an_invalid_configured_master_key_is_not_shown() {
    let wrong = telepath_core::secret::SecretText::new("hidden".to_owned());
    let failure = configured_master_keys(&wrong).unwrap_err();
    assert!(!failure.to_string().contains("hidden"), "{failure}");
}

#[test]
fn a_socket_path_that_is_too_long_is_rejected() {
    let folder = TemporaryFolder::new();
    let data = DataDir::create(&folder.path().join("x".repeat(110))).unwrap();
    assert_eq!(data.admin_socket().unwrap_err().exit, Exit::Config);
    let short = TemporaryFolder::new();
    assert!(DataDir::create(short.path()).unwrap().admin_socket().is_ok());
}
