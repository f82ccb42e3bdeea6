//! Everything the gateway needs to take a call: the trunk, the hashes for digest authentication, and the agent with
//! its credentials opened.
//!
//! The look-up of a user name costs the same whether the user exists: the same statements run, and as many secrets are
//! opened. Otherwise the time of a 401 would tell which users exist.

use std::collections::BTreeMap;

use telepath_core::digest_hash::DigestHashes;
use telepath_core::id::{AccountId, TrunkId};
use telepath_core::secret::SecretText;
use telepath_core::trunk::{
    AgentSession, AgentTarget, AiProvider, CredentialField, CredentialState, HeaderName, NumberChoice,
    SipUsername, Trunk, TrunkForCall, TrunkLookup, TrunkMatch,
};
use telepath_core::vault::{OpenError, Sealed};

use super::{digest, numbers, row};
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::sql::{Connection, binds, corrupt};

/// The secrets that every look-up of one trunk opens: the digest hashes and at most one credential of each kind.
const OPENINGS: usize = 1 + CredentialField::ALL.len();

/// What secrets that belong to no trunk are sealed for.
const DECOY_PLACE: &str = "decoy";

/// Credentials name their trunk. Without them, the trunk that trusts the source and has the called user wins, then the one
/// that trusts the source and takes a called number; a called user alone names a trunk that needs digest authentication.
pub(super) async fn find(
    db: &mut Connection,
    lookup: &TrunkLookup,
    context: &StoreContext,
) -> Result<TrunkMatch, StoreError> {
    let mut reader = TrunkReader::new(db, context)?;
    let named = match lookup.credentials.as_ref().or(lookup.called_user.as_ref()) {
        Some(username) => reader.by_username(username).await?,
        None => None,
    };
    let settled = lookup.credentials.is_some()
        || named.as_ref().is_some_and(|found| found.trunk.allowed_ips.contains(lookup.source));
    if settled {
        return Ok(found_or_not(named));
    }
    let mut not_listed = None;
    for number in lookup.dialled() {
        match numbers::choose(reader.db, lookup.source, number).await? {
            NumberChoice::One(owner) => return Ok(found_or_not(reader.by_id(owner.trunk).await?)),
            NumberChoice::Ambiguous(owners) => return Ok(TrunkMatch::AmbiguousNumber(owners)),
            NumberChoice::NotListed(owners) => {
                not_listed.get_or_insert(owners);
            }
            NumberChoice::NeedsCredentials => return Ok(found_or_not(named)),
        }
    }
    Ok(match (named, not_listed) {
        (None, Some(owners)) => TrunkMatch::NumberNotListed(numbers::of_trunks(reader.db, owners).await?),
        (named, _) => found_or_not(named),
    })
}

/// The agent of a trunk of an account.
pub(super) async fn agent_of(
    db: &mut Connection,
    account: AccountId,
    id: TrunkId,
    context: &StoreContext,
) -> Result<Option<(AgentTarget, AgentSession)>, StoreError> {
    let found = TrunkReader::new(db, context)?.by_id(id).await?;
    let found = found.filter(|found| found.trunk.account_id == account);
    Ok(found.map(|found| (found.agent, found.trunk.settings.session())))
}

fn found_or_not(trunk: Option<TrunkForCall>) -> TrunkMatch {
    trunk.map_or(TrunkMatch::NotFound, |trunk| TrunkMatch::Found(Box::new(trunk)))
}

/// Reads trunks, and counts what that costs.
struct TrunkReader<'a> {
    db: &'a mut Connection,
    context: &'a StoreContext,
    /// Opened in place of what a trunk does not have.
    decoy: Sealed,
    decoy_trunk: TrunkId,
    statements: usize,
    openings: usize,
}

impl<'a> TrunkReader<'a> {
    fn new(db: &'a mut Connection, context: &'a StoreContext) -> Result<Self, StoreError> {
        let text = DigestHashes::from_bytes([0; 16], [0; 32]).to_text();
        let decoy = context.vault.seal(&text, DECOY_PLACE, &*context.entropy)?;
        let decoy_trunk = context.new_id(context.clock.now())?;
        Ok(Self { db, context, decoy, decoy_trunk, statements: 0, openings: 0 })
    }

    async fn by_username(&mut self, username: &SipUsername) -> Result<Option<TrunkForCall>, StoreError> {
        let sql = format!(
            "SELECT {}, sip_digest FROM trunks WHERE lower(sip_username) = lower($1) AND deleted_at IS NULL",
            row::COLUMNS
        );
        self.read(sql, username.as_str().to_owned()).await
    }

    async fn by_id(&mut self, id: TrunkId) -> Result<Option<TrunkForCall>, StoreError> {
        let sql =
            format!("SELECT {}, sip_digest FROM trunks WHERE id = $1 AND deleted_at IS NULL", row::COLUMNS);
        self.read(sql, id.to_string()).await
    }

    /// The trunk that a query with one value finds, with its credentials opened.
    async fn read(&mut self, sql: String, value: String) -> Result<Option<TrunkForCall>, StoreError> {
        let opened_before = self.openings;
        self.statements += 1;
        let found = self.db.fetch_optional(sql, binds![value]).await?;
        let mut trunk = found.as_ref().map(row::trunk_of).transpose()?;
        let digest = match (&found, &trunk) {
            (Some(row), Some(trunk)) => {
                self.openings += 1;
                Some(digest::open(row, trunk.id, &self.context.vault)?)
            }
            (None, _) | (_, None) => None,
        };
        let secrets = self.credentials(trunk.as_mut()).await?;
        while self.openings - opened_before < OPENINGS {
            self.open(&self.decoy.clone(), DECOY_PLACE)
                .map_err(|problem| StoreError::Corrupt(format!("{DECOY_PLACE}: {problem}")))?;
        }
        let (Some(trunk), Some(digest)) = (trunk, digest) else { return Ok(None) };
        let agent = target_of(&trunk, secrets)?;
        Ok(Some(TrunkForCall { trunk, digest, agent }))
    }

    /// Opens the credentials of a trunk and notes their states in it. Without a trunk, the same statement finds nothing.
    async fn credentials(&mut self, mut trunk: Option<&mut Trunk>) -> Result<Secrets, StoreError> {
        let id = trunk.as_ref().map_or(self.decoy_trunk, |trunk| trunk.id);
        self.statements += 1;
        let sql = "SELECT field, sealed, last4, updated_at FROM trunk_credentials WHERE trunk_id = $1";
        let mut secrets = Secrets::new();
        for row in self.db.fetch_all(sql, binds![id.to_string()]).await? {
            let field = row.named("field", CredentialField::from_name)?;
            let place = field.place(id);
            let secret = self
                .open(&Sealed::from_bytes(row.bytes("sealed")?), &place)
                .map_err(|problem| StoreError::Corrupt(format!("{place}: {problem}")))?;
            secrets.insert(field, secret);
            if let Some(trunk) = trunk.as_deref_mut() {
                let state =
                    CredentialState { last4: row.maybe_text("last4")?, updated_at: row.time("updated_at")? };
                trunk.credentials.insert(field, state);
            }
        }
        Ok(secrets)
    }

    fn open(&mut self, sealed: &Sealed, place: &str) -> Result<SecretText, OpenError> {
        self.openings += 1;
        self.context.vault.open(sealed, place)
    }
}

type Secrets = BTreeMap<CredentialField, SecretText>;

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
        AiProvider::Deepgram => AgentTarget::Deepgram { api_key: secret(CredentialField::DeepgramApiKey)? },
        AiProvider::Gemini => AgentTarget::Gemini { api_key: secret(CredentialField::GeminiApiKey)? },
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

#[cfg(test)]
mod tests {
    use telepath_core::trunk::TrunkDraft;

    use super::*;
    use crate::suite::Fixture;

    /// Whether a user name is found, and the statements and openings of its look-up.
    async fn cost(reader: &mut TrunkReader<'_>, name: &str) -> (bool, usize, usize) {
        (reader.statements, reader.openings) = (0, 0);
        let username = SipUsername::try_from(name.to_owned()).unwrap();
        let found = reader.by_username(&username).await.unwrap();
        (found.is_some(), reader.statements, reader.openings)
    }

    #[tokio::test]
    async fn the_look_ups_of_known_and_unknown_users_cost_the_same_statements_and_openings() {
        let fixture = Fixture::sqlite();
        let store = fixture.open().await;
        let account = fixture.account(&store).await.id;
        let secret = SecretText::new("Bearer very-secret-token".to_owned());
        let headers = BTreeMap::from([("Authorization".to_owned(), secret)]);
        for (name, custom_headers) in [("plain-01", None), ("headers-01", Some(headers))] {
            let draft = TrunkDraft {
                name: Some(name.to_owned()),
                ai_provider: Some("custom".to_owned()),
                sip_username: Some(name.to_owned()),
                custom_endpoint: Some("wss://agent.example/voice".to_owned()),
                custom_headers,
                ..TrunkDraft::default()
            };
            store.create_trunk(account, draft.check().unwrap(), fixture.origin()).await.unwrap();
        }
        let mut db = store.backend.read_for_calls().await.unwrap();
        let mut reader = TrunkReader::new(&mut db, &fixture.context).unwrap();
        assert_eq!(cost(&mut reader, "nobody-01").await, (false, 2, OPENINGS));
        assert_eq!(cost(&mut reader, "plain-01").await, (true, 2, OPENINGS));
        assert_eq!(cost(&mut reader, "headers-01").await, (true, 2, OPENINGS));
        drop(db);
        store.close().await;
        fixture.remove().await;
    }
}
