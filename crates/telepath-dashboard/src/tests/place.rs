//! Where a test keeps its data: a folder with `SQLite`, or a schema on a `PostgreSQL` server. `TELEPATH_TEST_DATABASE` selects
//! which, so that the same tests run on both.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use telepath_core::secret::SecretText;
use telepath_store::Database;

/// Whether this run uses `PostgreSQL`.
pub(super) fn is_postgres_run() -> bool {
    std::env::var("TELEPATH_TEST_DATABASE").is_ok_and(|database| database == "postgres")
}

/// Gone with the test.
pub(super) enum Place {
    Folder(PathBuf),
    Schema { server: String, name: String },
}

impl Place {
    /// A place that no other test uses.
    pub(super) fn of_this_run() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("telepath_dashboard_{}_{number}", std::process::id());
        match std::env::var("TELEPATH_TEST_DATABASE").as_deref() {
            Ok("postgres") => {
                let server = std::env::var("TELEPATH_TEST_POSTGRES_URL").expect("the URL of a server");
                run(&server, &format!("CREATE SCHEMA {name}"));
                Self::Schema { server, name }
            }
            Ok("sqlite") | Err(_) => {
                let folder = std::env::temp_dir().join(name);
                std::fs::create_dir_all(&folder).unwrap();
                Self::Folder(folder)
            }
            Ok(other) => panic!("TELEPATH_TEST_DATABASE is {other}, not sqlite or postgres"),
        }
    }

    pub(super) fn database(&self) -> Database {
        match self {
            Self::Folder(folder) => Database::Sqlite { path: folder.join("telepath.db") },
            Self::Schema { server, name } => {
                let joint = if server.contains('?') { '&' } else { '?' };
                let url = SecretText::new(format!("{server}{joint}options[search_path]={name}"));
                Database::Postgres { url }
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match self {
            Self::Folder(folder) => drop(std::fs::remove_dir_all(folder)),
            Self::Schema { server, name } => run(server, &format!("DROP SCHEMA {name} CASCADE")),
        }
    }
}

/// `psql` comes with every `PostgreSQL` client.
fn run(server: &str, statement: &str) {
    let psql = Command::new("psql")
        .args(["--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--command", statement, "--dbname", server])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status();
    assert!(psql.expect("psql runs").success(), "psql does not take {statement:?}");
}
