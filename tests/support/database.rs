//! The database of one server: `SQLite` in its data folder, or its own `PostgreSQL` database, which is dropped with the value.
//! `TELEPATH_TEST_DATABASE` selects which, so that the same tests run on both.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use super::output::unique;

pub(crate) enum Database {
    Sqlite,
    Postgres {
        server: String,
        name: String,
    },
    /// A database that another value owns.
    Elsewhere {
        url: String,
    },
}

impl Database {
    /// The database selected for this run.
    pub(crate) fn of_this_run() -> Self {
        match std::env::var("TELEPATH_TEST_DATABASE").as_deref() {
            Ok("postgres") => Self::postgres(),
            Ok("sqlite") | Err(_) => Self::Sqlite,
            Ok(other) => panic!("TELEPATH_TEST_DATABASE is {other}, not sqlite or postgres"),
        }
    }

    /// Whether this run uses `PostgreSQL`.
    pub(crate) fn is_postgres_run() -> bool {
        std::env::var("TELEPATH_TEST_DATABASE").is_ok_and(|database| database == "postgres")
    }

    pub(crate) fn postgres() -> Self {
        let server = std::env::var("TELEPATH_TEST_POSTGRES_URL")
            .expect("TELEPATH_TEST_POSTGRES_URL names a server on which databases can be made");
        let name = format!("tp_{}", unique().replace('-', "_"));
        run("createdb", &server, &name);
        Self::Postgres { server, name }
    }

    /// The URL to configure; `None` for the built-in database.
    pub(crate) fn url(&self) -> Option<String> {
        match self {
            Self::Sqlite => None,
            Self::Elsewhere { url } => Some(url.clone()),
            Self::Postgres { server, name } => {
                let (base, _) = server.rsplit_once('/').expect("a database URL ends with a database's name");
                Some(format!("{base}/{name}"))
            }
        }
    }

    /// Replaces a text in the tables, like someone who edits a backup and restores it.
    pub(crate) fn forge(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let url = self.url().context("the built-in database is a file")?;
        let dump = Command::new("pg_dump").args(["--clean", "--no-owner"]).arg(&url).output()?;
        ensure!(dump.status.success(), "pg_dump: {}", String::from_utf8_lossy(&dump.stderr));
        self.load(&String::from_utf8(dump.stdout)?.replace(from, to))
    }

    /// Runs an SQL script, such as a dump.
    pub(crate) fn load(&self, script: &str) -> anyhow::Result<()> {
        let url = self.url().context("the built-in database is a file")?;
        let mut psql = Command::new("psql")
            .args(["--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--single-transaction", "--dbname"])
            .arg(&url)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        // Dropping it closes the pipe, which ends the input.
        psql.stdin.take().context("its input is written")?.write_all(script.as_bytes())?;
        ensure!(psql.wait()?.success(), "psql does not take the script");
        Ok(())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Self::Postgres { server, name } = self
            && !std::thread::panicking()
            && std::env::var_os("TELEPATH_TEST_SCRATCH").is_none()
        {
            run("dropdb", server, name);
        }
    }
}

/// `createdb` and `dropdb` come with every `PostgreSQL` client.
fn run(program: &str, server: &str, name: &str) {
    let done = Command::new(program)
        .arg(format!("--maintenance-db={server}"))
        .arg(name)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|problem| panic!("{program} does not run: {problem}"));
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
}
