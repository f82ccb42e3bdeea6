//! The index of `inbound_numbers`, and the choice of a trunk by source address and dialled number.

use std::net::IpAddr;

use telepath_core::address::NetworkList;
use telepath_core::id::TrunkId;
use telepath_core::trunk::{E164, NumberCandidate, NumberChoice, TrunkNumbers, TrunkOwner, TrunkStatus};

use crate::error::StoreError;
use crate::sql::{Connection, Row, binds, corrupt};

/// The trunks that may take the number from the source, and those that may take any number after digest authentication.
/// Trunks without `allowed_ips` matter only if they list the number or no number.
const CANDIDATES: &str = "SELECT t.id, t.account_id, t.status, t.allowed_ips, \
     (SELECT COUNT(*) FROM trunk_numbers n WHERE n.trunk_id = t.id AND n.number = $1) AS lists_number, \
     (SELECT COUNT(*) FROM trunk_numbers n WHERE n.trunk_id = t.id) AS numbers \
     FROM trunks t WHERE t.deleted_at IS NULL AND (t.allowed_ips <> '' \
     OR t.id IN (SELECT n.trunk_id FROM trunk_numbers n WHERE n.number = $1))";

/// One trunk of each account that takes any number and has no `allowed_ips`.
const OPEN_WITH_DIGEST: &str = "SELECT MIN(t.id) AS id, t.account_id FROM trunks t \
     WHERE t.deleted_at IS NULL AND t.allowed_ips = '' \
     AND NOT EXISTS (SELECT 1 FROM trunk_numbers n WHERE n.trunk_id = t.id) GROUP BY t.account_id";

/// Replaces the numbers of a trunk in the index.
pub(super) async fn set(db: &mut Connection, trunk: TrunkId, numbers: &[E164]) -> Result<(), StoreError> {
    db.execute("DELETE FROM trunk_numbers WHERE trunk_id = $1", binds![trunk.to_string()]).await?;
    for number in numbers {
        let sql = "INSERT INTO trunk_numbers (number, trunk_id) VALUES ($1, $2) ON CONFLICT (number, trunk_id) DO NOTHING";
        db.execute(sql, binds![number.as_str(), trunk.to_string()]).await?;
    }
    Ok(())
}

/// Trunks whose numbers are read to say what they have.
const MAX_NAMED_TRUNKS: usize = 16;
/// Numbers of each of them that are read.
const MAX_NAMED_NUMBERS: i64 = 100;

/// Chooses among the trunks of the server; no trunk lists a number that is `None`.
pub(super) async fn choose(
    db: &mut Connection,
    source: IpAddr,
    number: Option<&E164>,
) -> Result<NumberChoice, StoreError> {
    let rows = db.fetch_all(CANDIDATES, binds![number.map_or("", E164::as_str)]).await?;
    let mut candidates: Vec<NumberCandidate> =
        rows.iter().map(|row| candidate(row, source)).collect::<Result<_, _>>()?;
    // Everything else is decided without reading the trunks that take any number.
    if candidates.iter().any(|found| found.trusts_source && found.lists_number) {
        return Ok(NumberChoice::of(&candidates));
    }
    for row in db.fetch_all(OPEN_WITH_DIGEST, binds![]).await? {
        candidates.push(NumberCandidate {
            owner: owner(&row)?,
            status: TrunkStatus::Active,
            trusts_source: false,
            lists_number: false,
            takes_any_number: true,
        });
    }
    Ok(NumberChoice::of(&candidates))
}

/// The numbers of trunks that do not take a dialled one.
pub(super) async fn of_trunks(
    db: &mut Connection,
    owners: Vec<TrunkOwner>,
) -> Result<Vec<TrunkNumbers>, StoreError> {
    let mut trunks = Vec::new();
    for (place, owner) in owners.into_iter().enumerate() {
        let mut numbers = Vec::new();
        if place < MAX_NAMED_TRUNKS {
            let sql = "SELECT number FROM trunk_numbers WHERE trunk_id = $1 ORDER BY number LIMIT $2";
            for row in db.fetch_all(sql, binds![owner.trunk.to_string(), MAX_NAMED_NUMBERS]).await? {
                numbers
                    .push(E164::try_from(row.text("number")?).map_err(|_| corrupt("trunk_numbers.number"))?);
            }
        }
        trunks.push(TrunkNumbers { owner, numbers });
    }
    Ok(trunks)
}

fn candidate(row: &Row, source: IpAddr) -> Result<NumberCandidate, StoreError> {
    let networks: NetworkList = row.parse("allowed_ips")?;
    Ok(NumberCandidate {
        owner: owner(row)?,
        status: row.named("status", TrunkStatus::from_name)?,
        trusts_source: networks.contains(source),
        lists_number: row.integer("lists_number")? > 0,
        takes_any_number: row.integer("numbers")? == 0,
    })
}

fn owner(row: &Row) -> Result<TrunkOwner, StoreError> {
    Ok(TrunkOwner { account: row.parse("account_id")?, trunk: row.parse("id")? })
}
