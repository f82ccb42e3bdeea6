use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::config::{Environment, Layers};
use crate::temporary::TemporaryFolder;

fn config(folder: &Path) -> Config {
    let flags = vec![("storage.data_dir", folder.to_string_lossy().into_owned())];
    Config::check(&Layers::gather(&flags, &Environment::new(), None).unwrap()).unwrap()
}

async fn opened(role: ProcessRole, folder: &Path) -> Result<Arc<Store>, Failure> {
    open(&config(folder), role, &DataDir::create(folder).unwrap()).await
}

#[tokio::test]
async fn a_server_creates_the_master_key_of_a_new_database_once() {
    let folder = TemporaryFolder::new();
    let data = DataDir::create(folder.path()).unwrap();
    opened(ProcessRole::Server, folder.path()).await.unwrap().close().await;
    let mode = std::fs::metadata(data.master_key()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let first = std::fs::read(data.master_key()).unwrap();
    opened(ProcessRole::Server, folder.path()).await.unwrap().close().await;
    assert_eq!(std::fs::read(data.master_key()).unwrap(), first);
}

#[tokio::test]
async fn no_master_key_is_created_for_a_database_that_has_one_or_by_a_command() {
    let folder = TemporaryFolder::new();
    let data = DataDir::create(folder.path()).unwrap();
    let failure = opened(ProcessRole::Admin, folder.path()).await.err().unwrap();
    assert!(failure.message.contains("master key is missing"), "{failure}");
    opened(ProcessRole::Server, folder.path()).await.unwrap().close().await;
    std::fs::remove_file(data.master_key()).unwrap();
    let failure = opened(ProcessRole::Server, folder.path()).await.err().unwrap();
    assert_eq!(failure.exit, Exit::Config);
    assert!(failure.to_string().contains("Copy master.key"), "{failure}");
    assert!(!data.master_key().exists());
}

#[tokio::test]
async fn an_unused_new_master_key_is_deleted_and_a_used_one_is_kept() {
    let folder = TemporaryFolder::new();
    let data = DataDir::create(folder.path()).unwrap();
    let database = database(&DatabaseConfig::Embedded, &data);
    opened(ProcessRole::Server, folder.path()).await.unwrap().close().await;
    let used = vault(&data.read_master_keys().unwrap().unwrap(), None).unwrap();
    discard_unused_key(&data, &database, &used).await;
    assert!(data.master_key().exists());
    std::fs::remove_file(data.master_key()).unwrap();
    let other = vault(&[data.create_master_key(&SystemEntropy::default()).unwrap()], None).unwrap();
    discard_unused_key(&data, &database, &other).await;
    assert!(!data.master_key().exists());
}

#[tokio::test]
async fn a_damaged_sqlite_file_is_named_with_its_remedy() {
    let other_program = "this is not a database, but it is long enough to have a header ".repeat(200);
    let damaged = [&b"SQLite format 3\0"[..], &[0xff; 8192]].concat();
    for content in [other_program.into_bytes(), damaged] {
        let folder = TemporaryFolder::new();
        let data = DataDir::create(folder.path()).unwrap();
        std::fs::write(data.database(), content).unwrap();
        data.create_master_key(&SystemEntropy::default()).unwrap();
        let line = opened(ProcessRole::Server, folder.path()).await.err().unwrap().to_string();
        assert!(line.contains(&data.database().display().to_string()), "{line}");
        assert!(line.contains("restore a backup") && !line.contains("URL"), "{line}");
    }
}
