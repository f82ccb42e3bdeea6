//! Everything the gateway needs to take a call: the trunk, the hashes for digest authentication, and the agent with
//! its credentials opened.

use std::collections::BTreeMap;

use telepath_core::id::TrunkId;
use telepath_core::secret::SecretText;
use telepath_core::trunk::{
    AgentTarget, AiProvider, CredentialField, HeaderName, NumberChoice, SipUsername, Trunk, TrunkForCall,
    TrunkLookup, TrunkMatch,
};
use telepath_core::vault::{Sealed, Vault};

use super::{digest, numbers, row};
use crate::error::StoreError;
use crate::sql::{Connection, binds, corrupt};

/// Credentials name their trunk. Without them, the trunk that trusts the source and has the called user wins, then the one
/// that trusts the source and takes a called number; a called user alone names a trunk that needs digest authentication.
pub(super) async fn find(
    db: &mut Connection,
    lookup: &TrunkLookup,
    vault: &Vault,
) -> Result<TrunkMatch, StoreError> {
    let named = match lookup.credentials.as_ref().or(lookup.called_user.as_ref()) {
        Some(username) => by_username(db, username, vault).await?,
        None => None,
    };
    let settled = lookup.credentials.is_some()
        || named.as_ref().is_some_and(|found| found.trunk.allowed_ips.contains(lookup.source));
    if settled {
        return Ok(found_or_not(named));
    }
    let mut not_listed = None;
    for number in &lookup.called_numbers {
        match numbers::choose(db, lookup.source, number).await? {
            NumberChoice::One(owner) => return Ok(found_or_not(by_id(db, owner.trunk, vault).await?)),
            NumberChoice::Ambiguous(owners) => return Ok(TrunkMatch::AmbiguousNumber(owners)),
            NumberChoice::NotListed(owners) => {
                not_listed.get_or_insert(owners);
            }
            NumberChoice::NeedsCredentials => return Ok(found_or_not(named)),
        }
    }
    Ok(match (named, not_listed) {
        (None, Some(owners)) => TrunkMatch::NumberNotListed(owners),
        (named, _) => found_or_not(named),
    })
}

fn found_or_not(trunk: Option<TrunkForCall>) -> TrunkMatch {
    trunk.map_or(TrunkMatch::NotFound, |trunk| TrunkMatch::Found(Box::new(trunk)))
}

async fn by_username(
    db: &mut Connection,
    username: &SipUsername,
    vault: &Vault,
) -> Result<Option<TrunkForCall>, StoreError> {
    let sql = format!(
        "SELECT {}, sip_digest FROM trunks WHERE lower(sip_username) = lower($1) AND deleted_at IS NULL",
        row::COLUMNS
    );
    open(db, sql, username.as_str().to_owned(), vault).await
}

async fn by_id(db: &mut Connection, id: TrunkId, vault: &Vault) -> Result<Option<TrunkForCall>, StoreError> {
    let sql = format!("SELECT {}, sip_digest FROM trunks WHERE id = $1 AND deleted_at IS NULL", row::COLUMNS);
    open(db, sql, id.to_string(), vault).await
}

/// The trunk that a query with one value finds, with its credentials opened.
async fn open(
    db: &mut Connection,
    sql: String,
    value: String,
    vault: &Vault,
) -> Result<Option<TrunkForCall>, StoreError> {
    let Some(found) = db.fetch_optional(sql, binds![value]).await? else { return Ok(None) };
    let trunk_row = row::trunk_of(&found)?;
    let digest = digest::open(&found, trunk_row.id, vault)?;
    // Also reads the states of the credentials. A trunk deleted in between counts as not found.
    let Some(trunk) = row::trunk(db, trunk_row.account_id, trunk_row.id).await? else { return Ok(None) };
    let secrets = open_all(db, &trunk, vault).await?;
    let agent = target_of(&trunk, secrets)?;
    Ok(Some(TrunkForCall { trunk, digest, agent }))
}

type Secrets = BTreeMap<CredentialField, SecretText>;

async fn open_all(db: &mut Connection, trunk: &Trunk, vault: &Vault) -> Result<Secrets, StoreError> {
    let sql = "SELECT field, sealed FROM trunk_credentials WHERE trunk_id = $1";
    let mut secrets = Secrets::new();
    for row in db.fetch_all(sql, binds![trunk.id.to_string()]).await? {
        let field = row.named("field", CredentialField::from_name)?;
        let place = field.place(trunk.id);
        let secret = vault
            .open(&Sealed::from_bytes(row.bytes("sealed")?), &place)
            .map_err(|problem| StoreError::Corrupt(format!("{place}: {problem}")))?;
        secrets.insert(field, secret);
    }
    Ok(secrets)
}

fn target_of(trunk: &Trunk, mut secrets: Secrets) -> Result<AgentTarget, StoreError> {
    let missing = |what: &str| StoreError::Corrupt(format!("{} has no {what}", trunk.id));
    let mut secret = |field: CredentialField| secrets.remove(&field).ok_or_else(|| missing(field.name()));
    Ok(match trunk.ai_provider {
        AiProvider::OpenAi => AgentTarget::OpenAi { api_key: secret(CredentialField::OpenAiApiKey)? },
        AiProvider::ElevenLabs => AgentTarget::ElevenLabs {
            api_key: secret(CredentialField::ElevenLabsApiKey)?,
            agent_id: trunk
                .settings
                .elevenlabs_agent_id
                .clone()
                .ok_or_else(|| missing("elevenlabs_agent_id"))?,
        },
        AiProvider::Custom => AgentTarget::Custom {
            url: trunk.settings.custom_endpoint.clone().ok_or_else(|| missing("custom_endpoint"))?,
            protocol: trunk.agent_protocol,
            headers: secret(CredentialField::CustomHeaders)
                .ok()
                .map_or(Ok(Vec::new()), |h| headers_of(&h))?,
        },
    })
}

fn headers_of(sealed: &SecretText) -> Result<Vec<(HeaderName, SecretText)>, StoreError> {
    let pairs: BTreeMap<String, SecretText> =
        serde_json::from_str(sealed.expose()).map_err(|_| corrupt("custom_headers"))?;
    let checked =
        |(name, value)| Ok((HeaderName::try_from(name).map_err(|_| corrupt("custom_headers"))?, value));
    pairs.into_iter().map(checked).collect()
}
