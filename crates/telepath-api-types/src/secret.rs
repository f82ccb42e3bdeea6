//! Secrets in bodies. A body is the one place where a secret leaves the process; it travels over TLS or stays on this
//! machine.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use telepath_core::patch::Patch;
use telepath_core::secret::SecretText;

pub(crate) fn reveal_one<S: Serializer>(secret: &SecretText, serializer: S) -> Result<S::Ok, S::Error> {
    secret.expose().serialize(serializer)
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
pub(crate) fn reveal<S: Serializer>(secret: &Option<SecretText>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(SecretText::expose).serialize(serializer)
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
pub(crate) fn reveal_list<S: Serializer>(
    secrets: &Option<Vec<SecretText>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let texts = secrets.as_ref().map(|secrets| secrets.iter().map(SecretText::expose).collect::<Vec<_>>());
    texts.serialize(serializer)
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
pub(crate) fn reveal_map<S: Serializer>(
    secrets: &Option<BTreeMap<String, SecretText>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    secrets.as_ref().map(texts).serialize(serializer)
}

pub(crate) fn reveal_patch<S: Serializer>(
    secrets: &Patch<BTreeMap<String, SecretText>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match secrets {
        Patch::Keep | Patch::Clear => serializer.serialize_none(),
        Patch::Set(secrets) => serializer.serialize_some(&texts(secrets)),
    }
}

fn texts(secrets: &BTreeMap<String, SecretText>) -> BTreeMap<&str, &str> {
    secrets.iter().map(|(name, secret)| (name.as_str(), secret.expose())).collect()
}
