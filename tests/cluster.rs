//! Fault injection on three real servers that share one PostgreSQL and one Redis, over proxies that can be slowed or cut.
//! Runs only when the tests run on PostgreSQL. `scripts/fault-schedules` runs many more schedules than an ordinary run.

mod faults;
mod history;
mod joining;
mod keyring;
mod schedule;
pub(crate) mod test_cluster;

use crate::support::database::Database;

/// Whether PostgreSQL and Redis are available.
fn is_possible() -> bool {
    Database::is_postgres_run()
}
