//! Three real servers on one PostgreSQL and one Redis, with links between that can be broken. They run where the tests
//! run on PostgreSQL. `scripts/fault-schedules` runs many more schedules than the few that belong to every run.

mod faults;
mod history;
mod joining;
mod schedule;
mod trio;

use crate::support::database::Database;

/// Whether the servers that these tests need are there.
fn is_possible() -> bool {
    Database::is_postgres_run()
}
