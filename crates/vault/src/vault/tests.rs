use super::*;
use crate::keyring::KeyState;
use crate::master::MasterKey;
use keyway_core::entropy::SeededEntropy;
use keyway_core::time::{ManualClock, UnixMillis};

const ROW: SealContext<'_> = SealContext {
    purpose: "token_sets.tokens",
    row: "row-1",
};

fn master(seed: u64) -> MasterKey {
    MasterKey::generate(&SeededEntropy::new(seed))
}

fn entropy() -> Arc<dyn Entropy> {
    Arc::new(SeededEntropy::new(99))
}

fn clock() -> ManualClock {
    ManualClock::at(UnixMillis(1_000))
}

fn founded() -> (Vault, Vec<StoredKey>) {
    Vault::found(&master(1), entropy(), &clock()).unwrap()
}

fn unlock_error(wrapper: &MasterKey, keys: &[StoredKey]) -> UnlockError {
    Vault::unlock(wrapper, entropy(), keys)
        .map(|_| ())
        .unwrap_err()
}

#[test]
fn a_sealed_secret_opens_for_its_row_and_use_only() {
    let (vault, _) = founded();
    let sealed = vault.seal(&ROW, b"refresh token");
    assert_eq!(
        vault.open(&ROW, &sealed).unwrap().as_slice(),
        b"refresh token"
    );
    let other_row = SealContext {
        row: "row-2",
        ..ROW
    };
    let other_use = SealContext {
        purpose: "credentials.data",
        ..ROW
    };
    assert_eq!(vault.open(&other_row, &sealed), Err(OpenError::Tampered));
    assert_eq!(vault.open(&other_use, &sealed), Err(OpenError::Tampered));
}

#[test]
fn purpose_and_row_cannot_be_shifted_into_each_other() {
    let (vault, _) = founded();
    let sealed = vault.seal(
        &SealContext {
            purpose: "a.b",
            row: "c",
        },
        b"x",
    );
    let shifted = SealContext {
        purpose: "a",
        row: ".bc",
    };
    assert_eq!(vault.open(&shifted, &sealed), Err(OpenError::Tampered));
}

#[test]
fn secrets_swapped_between_rows_are_refused() {
    let (vault, _) = founded();
    let rows = ["one", "two"].map(|row| SealContext { row, ..ROW });
    let [one, two] = rows.map(|row| vault.seal(&row, b"equal secrets"));
    assert_eq!(vault.open(&rows[0], &two), Err(OpenError::Tampered));
    assert_eq!(vault.open(&rows[1], &one), Err(OpenError::Tampered));
}

#[test]
fn the_sealed_form_is_version_term_nonce_and_text_with_tag() {
    let (vault, _) = founded();
    let Sealed(bytes) = vault.seal(&ROW, b"12345");
    assert_eq!(&bytes[..5], &[1, 0, 0, 0, 1]);
    assert_eq!(bytes.len(), 5 + 12 + 5 + 16);
    assert!(!bytes.windows(5).any(|part| part == b"12345"));
}

#[test]
fn sealing_twice_gives_different_bytes_and_empty_texts_are_fine() {
    let (vault, _) = founded();
    assert_ne!(vault.seal(&ROW, b"x"), vault.seal(&ROW, b"x"));
    assert!(vault.open(&ROW, &vault.seal(&ROW, b"")).unwrap().is_empty());
}

#[test]
fn every_flipped_bit_is_noticed() {
    let (vault, _) = founded();
    let Sealed(bytes) = vault.seal(&ROW, b"a refresh token");
    for at in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[at / 8] ^= 1 << (at % 8);
        let error = vault.open(&ROW, &Sealed(changed)).unwrap_err();
        let expected = match at / 8 {
            0 => error == OpenError::Malformed,
            1..5 => matches!(error, OpenError::UnknownTerm { .. }),
            _ => error == OpenError::Tampered,
        };
        assert!(expected, "bit {at}: {error:?}");
    }
}

#[test]
fn truncated_and_lengthened_bytes_are_refused() {
    let (vault, _) = founded();
    let Sealed(bytes) = vault.seal(&ROW, b"a refresh token");
    for length in 0..bytes.len() {
        assert!(
            vault.open(&ROW, &Sealed(bytes[..length].to_vec())).is_err(),
            "{length}"
        );
    }
    let longer = Sealed([bytes.as_slice(), &[0]].concat());
    assert_eq!(vault.open(&ROW, &longer), Err(OpenError::Tampered));
}

proptest::proptest! {
    #[test]
    fn opening_any_bytes_never_succeeds_or_panics(bytes: Vec<u8>) {
        let (vault, _) = founded();
        proptest::prop_assert!(vault.open(&ROW, &Sealed(bytes)).is_err());
    }

    #[test]
    fn what_is_sealed_opens_whatever_the_text_and_row(text: Vec<u8>, row: String) {
        let (vault, _) = founded();
        let context = SealContext { purpose: "t.c", row: &row };
        let opened = vault.open(&context, &vault.seal(&context, &text)).unwrap();
        proptest::prop_assert_eq!(opened.as_slice(), text.as_slice());
    }
}

#[test]
fn another_process_with_the_same_keys_opens_and_digests_alike() {
    let (vault, keys) = founded();
    let other = Vault::unlock(&master(1), entropy(), &keys).unwrap();
    let sealed = vault.seal(&ROW, b"x");
    assert_eq!(other.open(&ROW, &sealed).unwrap().as_slice(), b"x");
    let digest = vault.digest(DigestKind::Cookie, b"state");
    assert_eq!(digest, other.digest(DigestKind::Cookie, b"state"));
    assert!(other.verify_digest(DigestKind::Cookie, b"state", &digest));
    assert!(!other.verify_digest(DigestKind::Code, b"state", &digest));
    assert!(!other.verify_digest(DigestKind::Cookie, b"statf", &digest));
}

#[test]
fn a_vault_is_founded_with_a_digest_key_and_the_first_term() {
    let (vault, keys) = founded();
    let ids: Vec<_> = keys
        .iter()
        .map(|key| (key.id, key.purpose, key.state))
        .collect();
    assert_eq!(
        ids,
        [
            (0, KeyPurpose::Digest, KeyState::Active),
            (1, KeyPurpose::Sealing, KeyState::Active)
        ]
    );
    assert!(keys.iter().all(|key| key.created_at == UnixMillis(1_000)));
    assert_eq!((vault.terms(), vault.sealing_term()), (vec![1], 1));
}

#[test]
fn a_wrong_master_key_is_named_beside_the_right_one() {
    let (_, keys) = founded();
    let error = unlock_error(&master(2), &keys);
    let (expected, given) = (master(1).fingerprint(), master(2).fingerprint());
    let words = error.to_string();
    assert!(
        words.contains(&expected) && words.contains(&given),
        "{words}"
    );
    assert_eq!(error, UnlockError::WrongMasterKey { expected, given });
}

#[test]
fn damaged_or_exchanged_wrapped_keys_are_named() {
    let (_, mut keys) = founded();
    keys[1].wrapped[20] ^= 1;
    let tampered = UnlockError::Tampered {
        id: 1,
        purpose: KeyPurpose::Sealing,
    };
    assert_eq!(unlock_error(&master(1), &keys), tampered);

    let (_, mut keys) = founded();
    keys[1].wrapped = keys[0].wrapped.clone();
    assert_eq!(unlock_error(&master(1), &keys), tampered);
}

#[test]
fn missing_double_and_misnumbered_keys_are_refused_by_name() {
    let (_, keys) = founded();
    assert_eq!(
        unlock_error(&master(1), &keys[..1]),
        UnlockError::MissingTerm
    );
    assert_eq!(
        unlock_error(&master(1), &keys[1..]),
        UnlockError::MissingDigestKey
    );
    assert_eq!(unlock_error(&master(1), &[]), UnlockError::MissingDigestKey);
    let twice = [keys[0].clone(), keys[1].clone(), keys[1].clone()];
    assert_eq!(
        unlock_error(&master(1), &twice),
        UnlockError::BadId { id: 1 }
    );
    let misnumbered = [
        keys[0].clone(),
        StoredKey {
            id: -1,
            ..keys[1].clone()
        },
    ];
    assert_eq!(
        unlock_error(&master(1), &misnumbered),
        UnlockError::BadId { id: -1 }
    );
}

/// The term `sealed` was sealed with.
fn term_of(sealed: &Sealed) -> Option<u32> {
    term_of_prefix(&sealed.0[..HEADER_BYTES])
}

/// A vault with two terms, the second of which seals, and its keys.
fn rotated() -> (Vault, Vec<StoredKey>) {
    let (vault, mut keys) = founded();
    keys.push(vault.new_term(&master(1), &clock()));
    keys[1].state = KeyState::Retiring;
    keys[2].state = KeyState::Active;
    vault.reload(&master(1), &keys).unwrap();
    (vault, keys)
}

#[test]
fn an_announced_term_opens_and_seals_only_once_active() {
    let (vault, mut keys) = founded();
    let (old, digest) = (
        vault.seal(&ROW, b"old"),
        vault.digest(DigestKind::ApiKey, b"key"),
    );
    keys.push(vault.new_term(&master(1), &clock()));
    assert_eq!((keys[2].id, keys[2].state), (2, KeyState::Announced));
    let behind = Vault::unlock(&master(1), entropy(), &keys[..2]).unwrap();
    vault.reload(&master(1), &keys).unwrap();
    assert_eq!((vault.terms(), vault.sealing_term()), (vec![1, 2], 1));

    keys[2].state = KeyState::Active;
    vault.restate(&keys).unwrap();
    let new = vault.seal(&ROW, b"new");
    assert_eq!((term_of(&old), term_of(&new)), (Some(1), Some(2)));
    assert_eq!(vault.open(&ROW, &old).unwrap().as_slice(), b"old");
    assert_eq!(vault.open(&ROW, &new).unwrap().as_slice(), b"new");
    assert_eq!(vault.digest(DigestKind::ApiKey, b"key"), digest);

    let unknown = Err(OpenError::UnknownTerm { term: 2 });
    assert_eq!(behind.open(&ROW, &new), unknown);
    assert!(behind.lacks(&keys) && !vault.lacks(&keys));
    behind.reload(&master(1), &keys).unwrap();
    assert_eq!(behind.open(&ROW, &new).unwrap().as_slice(), b"new");
}

#[test]
fn sealed_bytes_relabelled_with_another_term_are_refused() {
    let (vault, _) = rotated();
    let Sealed(mut bytes) = vault.seal(&ROW, b"x");
    bytes[4] = 1;
    assert_eq!(vault.open(&ROW, &Sealed(bytes)), Err(OpenError::Tampered));
}

#[test]
fn a_retiring_term_opens_but_does_not_seal_and_a_retired_one_does_neither() {
    let (founder, _) = founded();
    let old = founder.seal(&ROW, b"old");
    let (vault, mut keys) = rotated();
    assert_eq!((vault.terms(), vault.sealing_term()), (vec![1, 2], 2));

    keys[1].state = KeyState::Retired;
    vault.restate(&keys).unwrap();
    assert_eq!(vault.terms(), [2]);
    let unknown = Err(OpenError::UnknownTerm { term: 1 });
    assert_eq!(vault.open(&ROW, &old), unknown);
}

#[test]
fn a_refused_reload_or_restatement_leaves_the_vault_as_it_was() {
    let (vault, mut keys) = founded();
    let sealed = vault.seal(&ROW, b"x");
    keys[1].state = KeyState::Retired;
    let missing = Err(UnlockError::MissingTerm);
    assert_eq!(vault.reload(&master(1), &keys), missing);
    assert_eq!(vault.restate(&keys), missing);
    assert!(vault.open(&ROW, &sealed).is_ok());
}

#[test]
fn another_master_key_wraps_the_same_keys() {
    let (vault, keys) = rotated();
    let (sealed, digest) = (
        vault.seal(&ROW, b"x"),
        vault.digest(DigestKind::ApiKey, b"key"),
    );
    let rewrapped = keyring::rewrap(&master(1), &master(2), &keys).unwrap();
    assert!(Vault::unlock(&master(1), entropy(), &rewrapped).is_err());
    let opened = Vault::unlock(&master(2), entropy(), &rewrapped).unwrap();
    assert_eq!(opened.open(&ROW, &sealed).unwrap().as_slice(), b"x");
    assert_eq!(opened.digest(DigestKind::ApiKey, b"key"), digest);
}

#[test]
fn keys_of_another_master_key_or_damaged_ones_are_not_rewrapped() {
    let (_, mut keys) = rotated();
    let refused = keyring::rewrap(&master(2), &master(3), &keys);
    assert!(matches!(refused, Err(UnlockError::WrongMasterKey { .. })));
    keys[2].wrapped[20] ^= 1;
    let refused = keyring::rewrap(&master(1), &master(2), &keys);
    assert!(matches!(refused, Err(UnlockError::Tampered { id: 2, .. })));
}

#[test]
fn debug_of_vault_and_stored_keys_shows_no_key_material() {
    let (vault, keys) = founded();
    assert_eq!(format!("{vault:?}"), "Vault { terms: [1], .. }");
    let shown = format!("{:?}", keys[1]);
    assert!(
        shown.contains("id: 1") && !shown.contains("wrapped"),
        "{shown}"
    );
}

#[test]
fn the_words_for_purposes_and_states_read_back() {
    for purpose in [KeyPurpose::Sealing, KeyPurpose::Digest] {
        assert_eq!(KeyPurpose::parse(purpose.as_str()), Some(purpose));
    }
    let states = [KeyState::Announced, KeyState::Active, KeyState::Retiring];
    for state in states.into_iter().chain([KeyState::Retired]) {
        assert_eq!(KeyState::parse(state.as_str()), Some(state));
    }
    assert_eq!((KeyPurpose::parse("x"), KeyState::parse("")), (None, None));
}
