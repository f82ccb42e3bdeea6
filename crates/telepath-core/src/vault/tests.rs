//! Sealing, hashing and the replacement of master keys.

use super::*;
use crate::entropy::SystemEntropy;
use crate::secret::KeyMode;

fn vault() -> Vault {
    Vault::new(&MasterKey::generate(&SystemEntropy::default()).unwrap()).unwrap()
}

#[test]
fn sealed_secrets_open_in_their_place_and_nowhere_else() {
    let (vault, entropy) = (vault(), SystemEntropy::default());
    let sealed = vault.seal(&SecretText::new("a credential".into()), "conn_1/openai", &entropy).unwrap();
    assert_eq!(vault.open(&sealed, "conn_1/openai").unwrap().expose(), "a credential");
    assert_eq!(vault.open(&sealed, "conn_2/openai").unwrap_err(), OpenError::Tampered);
    assert!(!sealed.as_bytes().windows(12).any(|w| w == b"a credential"));
}

#[test]
fn every_changed_byte_is_noticed() {
    let vault = vault();
    let sealed = vault.seal(&SecretText::new("x".into()), "p", &SystemEntropy::default()).unwrap();
    for place in 0..sealed.as_bytes().len() {
        let mut bytes = sealed.as_bytes().to_vec();
        bytes[place] ^= 1;
        assert!(vault.open(&Sealed::from_bytes(bytes), "p").is_err(), "byte {place}");
    }
    assert_eq!(vault.open(&Sealed::from_bytes(vec![1; 5]), "p").unwrap_err(), OpenError::Format);
}

#[test]
fn another_master_key_is_named_in_the_error() {
    let (one, two) = (vault(), vault());
    let sealed = one.seal(&SecretText::new("x".into()), "p", &SystemEntropy::default()).unwrap();
    assert_eq!(two.open(&sealed, "p").unwrap_err(), OpenError::OtherKey(one.sealing_key_id()));
}

#[test]
fn key_hashes_depend_on_the_pepper() {
    let key = PlainKey::generate(KeyMode::Live, &SystemEntropy::default()).unwrap();
    let (one, two) = (vault(), vault());
    assert_eq!(one.hash_key(&key), one.hash_key(&key));
    assert_ne!(one.hash_key(&key), two.hash_key(&key));
}

#[test]
fn token_hashes_depend_on_the_key_and_the_purpose() {
    let (one, two) = (vault(), vault());
    let hash = one.hash_token(TokenPurpose::Session, "token");
    assert_eq!(hash, one.hash_token(TokenPurpose::Session, "token"));
    assert_ne!(hash, one.hash_token(TokenPurpose::Invitation, "token"));
    assert_ne!(hash, two.hash_token(TokenPurpose::Session, "token"));
}

#[test]
fn a_master_key_survives_its_text_form() {
    let master = MasterKey::generate(&SystemEntropy::default()).unwrap();
    let text = master.to_text();
    let again = MasterKey::parse(&format!("{}\n", text.expose())).unwrap();
    assert_eq!(Vault::new(&master).unwrap().sealing_key_id(), Vault::new(&again).unwrap().sealing_key_id());
    assert_eq!(MasterKey::parse("c2hvcnQ=").err(), Some(InvalidMasterKey));
}

fn master() -> MasterKey {
    MasterKey::generate(&SystemEntropy::default()).unwrap()
}

fn id(master: &MasterKey) -> SealingKeyId {
    Vault::new(master).unwrap().sealing_key_id()
}

#[test]
fn the_active_key_seals_and_every_loaded_key_opens() {
    let (entropy, keys) = (SystemEntropy::default(), [master(), master()]);
    let vault = Vault::of_keyring(&keys, None).unwrap();
    let secret = SecretText::new("a credential".into());
    let old = vault.seal(&secret, "p", &entropy).unwrap();
    assert!(vault.activate(id(&keys[1])));
    let new = vault.seal(&secret, "p", &entropy).unwrap();
    assert_eq!(&old.as_bytes()[1..9], id(&keys[0]).as_bytes());
    assert_eq!(&new.as_bytes()[1..9], id(&keys[1]).as_bytes());
    for sealed in [&old, &new] {
        assert_eq!(vault.open(sealed, "p").unwrap().expose(), "a credential");
    }
    assert!(!vault.activate(id(&master())), "not loaded");
    assert_eq!(vault.sealing_key_id(), id(&keys[1]));
}

#[test]
fn keys_are_loaded_and_unloaded_while_the_vault_is_used() {
    let (entropy, first) = (SystemEntropy::default(), master());
    let vault = Vault::new(&first).unwrap();
    let second = [master(), MasterKey::parse(first.to_text().expose()).unwrap()];
    assert_eq!(vault.load(&second).unwrap(), [id(&second[0])], "the first is loaded already");
    assert_eq!(vault.loaded(), [id(&first), id(&second[0])]);
    assert!(vault.activate(id(&second[0])));
    let sealed = vault.seal(&SecretText::new("x".into()), "p", &entropy).unwrap();
    assert_eq!(sealed.key(), Some(id(&second[0])));
    vault.unload(id(&second[0]));
    assert_eq!(vault.loaded().len(), 2, "the key that seals stays");
    vault.unload(id(&first));
    assert_eq!(vault.loaded(), [id(&second[0])]);
    let many: Vec<_> = (0..MAX_MASTER_KEYS).map(|_| master()).collect();
    assert!(vault.load(&many).is_err());
    assert_eq!(vault.loaded().len(), 1, "none of too many is loaded");
}

#[test]
fn hashes_stay_the_same_when_the_first_master_key_is_gone() {
    let (entropy, [first, second]) = (SystemEntropy::default(), [master(), master()]);
    let before = Vault::of_keyring(&[MasterKey::parse(first.to_text().expose()).unwrap()], None).unwrap();
    let both = [first, second];
    let stored = StoredKeyring { active: id(&both[0]), derived_keys: None };
    let vault = Vault::of_keyring(&both, Some(&stored)).unwrap();
    let derived_keys = vault.seal_derived_keys(id(&both[1]), &entropy).unwrap();
    assert!(vault.seal_derived_keys(id(&master()), &entropy).unwrap().is_none());
    let stored = StoredKeyring { active: id(&both[1]), derived_keys };
    let after = Vault::of_keyring(&both[1..], Some(&stored)).unwrap();
    let key = PlainKey::generate(KeyMode::Live, &entropy).unwrap();
    assert_eq!(before.hash_key(&key), after.hash_key(&key));
    let token = |vault: &Vault| vault.hash_token(TokenPurpose::Session, "token");
    assert_eq!(token(&before), token(&after));
    assert_eq!(before.sip_nonce_secret(), after.sip_nonce_secret());
    let state = crate::audit::ChainState::new(crate::id::Id::from_bytes([1; 16]));
    assert!(state.is_authentic(after.audit_chain(), &state.tag(before.audit_chain()).0));
}

#[test]
fn a_vault_without_the_key_that_seals_is_refused() {
    let (one, two) = (master(), master());
    let stored = StoredKeyring { active: id(&one), derived_keys: None };
    let refused = Vault::of_keyring(std::slice::from_ref(&two), Some(&stored)).unwrap_err();
    assert_eq!(refused, VaultError::ActiveKeyMissing { expected: id(&one), given: id(&two) });
    assert!(matches!(Vault::of_keyring(&[], None), Err(VaultError::Unusable(_))));
    let foreign = Vault::new(&one).unwrap().seal_derived_keys(id(&one), &SystemEntropy::default()).unwrap();
    let stored = StoredKeyring { active: id(&two), derived_keys: foreign };
    let refused = Vault::of_keyring(std::slice::from_ref(&two), Some(&stored)).unwrap_err();
    assert_eq!(refused, VaultError::DerivedKeys(OpenError::OtherKey(id(&one))));
}

#[test]
fn a_file_contains_one_or_more_master_keys() {
    let (one, two) = (master(), master());
    let text = format!("{}\n{}\n", one.to_text().expose(), two.to_text().expose());
    let ids: Vec<_> = MasterKey::parse_all(&text).unwrap().iter().map(id).collect();
    assert_eq!(ids, [id(&one), id(&two)]);
    let many = format!("{}\n", one.to_text().expose()).repeat(MAX_MASTER_KEYS + 1);
    for wrong in ["", "\n", "c2hvcnQ=", &format!("{text}c2hvcnQ="), &many] {
        assert!(MasterKey::parse_all(wrong).is_err());
    }
    assert_eq!(id(&one).to_string().parse(), Ok(id(&one)));
    for wrong in ["", "0123", "zz23456789abcdef", "+123456789abcdef"] {
        assert_eq!(wrong.parse::<SealingKeyId>(), Err(InvalidSealingKeyId));
    }
}
