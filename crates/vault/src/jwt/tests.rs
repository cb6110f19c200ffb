use super::own::{PublicJwk, SigningKey, thumbprint, verify_own};
use super::provider::{ProviderKeys, decode_unverified, verify_provider};
use super::*;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use keyway_core::time::UnixMillis;
use serde_json::json;
use std::sync::LazyLock;

const ISSUER: &str = "https://keyway.example";
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token with `header` over fixed claims, signed by `sign`.
fn token(header: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let claims = json!({"iss": ISSUER, "sub": "1", "exp": 1_700_000_060});
    let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let signature = b64(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "grant", "aud": "client", "exp": 1_700_000_060})
}

fn signing_key() -> SigningKey {
    let (pkcs8, public) = SigningKey::generate_es256().unwrap();
    SigningKey::from_pkcs8(&public.kid, &pkcs8).unwrap()
}

fn jwks_of(keys: &[&PublicJwk]) -> ProviderKeys {
    ProviderKeys::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

mod own_tokens {
    use super::*;

    #[test]
    fn a_signed_token_verifies_and_names_its_key() {
        let key = signing_key();
        let token = key.sign(&claims()).unwrap();
        let head: Value = serde_json::from_slice(
            &URL_SAFE_NO_PAD
                .decode(token.split('.').next().unwrap())
                .unwrap(),
        )
        .unwrap();
        assert_eq!(
            head,
            json!({"alg": "ES256", "typ": "JWT", "kid": key.kid()})
        );
        let verified = verify_own(&[key.public_jwk().clone()], &token, ISSUER, NOW).unwrap();
        assert_eq!(Value::Object(verified), claims());
    }

    #[test]
    fn the_public_key_is_written_as_a_member_of_a_jwks() {
        let key = signing_key();
        let written = serde_json::to_value(key.public_jwk()).unwrap();
        let jwk = key.public_jwk();
        assert_eq!(
            written,
            json!({"kty": "EC", "crv": "P-256", "x": jwk.x, "y": jwk.y, "use": "sig",
                   "alg": "ES256", "kid": jwk.kid})
        );
        assert_eq!(jwk.kid, thumbprint(&jwk.x, &jwk.y));
        assert_eq!((jwk.x.len(), jwk.y.len()), (43, 43));
        assert_eq!(&serde_json::from_value::<PublicJwk>(written).unwrap(), jwk);
    }

    #[test]
    fn a_thumbprint_is_the_one_of_the_published_example() {
        // The key and its thumbprint in RFC 9449, 4.1 and 6.1.
        let x = "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs";
        let y = "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA";
        assert_eq!(
            thumbprint(x, y),
            "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
        );
    }

    #[test]
    fn time_is_judged_by_the_given_present() {
        let key = signing_key();
        let jwks = [key.public_jwk().clone()];
        let token = key.sign(&claims()).unwrap();
        let at = |ms| verify_own(&jwks, &token, ISSUER, UnixMillis(ms)).map(|_| ());
        assert_eq!(at(1_700_000_059_999), Ok(()));
        assert_eq!(at(1_700_000_060_000), Err(JwtError::Expired));

        let endless = key.sign(&json!({"iss": ISSUER})).unwrap();
        assert_eq!(
            verify_own(&jwks, &endless, ISSUER, NOW),
            Err(JwtError::Expired)
        );
        let early = json!({"iss": ISSUER, "exp": 1_800_000_000, "nbf": 1_700_000_001});
        let early = key.sign(&early).unwrap();
        assert_eq!(
            verify_own(&jwks, &early, ISSUER, NOW),
            Err(JwtError::NotYetValid)
        );
    }

    #[test]
    fn another_issuer_key_or_signature_is_refused() {
        let (key, other) = (signing_key(), signing_key());
        let jwks = [key.public_jwk().clone()];
        let token = key.sign(&claims()).unwrap();
        let refused = |jwks: &[PublicJwk], token: &str, iss| {
            verify_own(jwks, token, iss, NOW).map(|_| ()).unwrap_err()
        };
        assert_eq!(
            refused(&jwks, &token, "https://else.example"),
            JwtError::WrongIssuer
        );
        assert_eq!(
            refused(&[other.public_jwk().clone()], &token, ISSUER),
            JwtError::UnknownKey
        );
        let renamed = PublicJwk {
            kid: key.kid().to_owned(),
            ..other.public_jwk().clone()
        };
        assert_eq!(refused(&[renamed], &token, ISSUER), JwtError::BadSignature);
    }

    #[test]
    fn a_token_with_any_character_changed_or_cut_is_refused() {
        let key = signing_key();
        let jwks = [key.public_jwk().clone()];
        let token = key.sign(&claims()).unwrap();
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(
                verify_own(&jwks, &changed, ISSUER, NOW).is_err(),
                "character {at}"
            );
            assert!(
                verify_own(&jwks, &token[..at], ISSUER, NOW).is_err(),
                "cut at {at}"
            );
        }
    }

    #[test]
    fn a_token_without_signature_or_with_an_hmac_is_refused() {
        let key = signing_key();
        let jwks = [key.public_jwk().clone()];
        for alg in ["none", "None", "HS256", "RS256", ""] {
            let header = json!({"alg": alg, "kid": key.kid()});
            let forged = token(&header, |_| Vec::new());
            let refused = verify_own(&jwks, &forged, ISSUER, NOW);
            assert_eq!(refused, Err(JwtError::UnsupportedAlgorithm), "{alg}");
        }
    }

    #[test]
    fn bytes_that_are_no_key_make_no_signing_key_and_debug_shows_none() {
        assert_eq!(
            SigningKey::from_pkcs8("k", b"?").map(|_| ()),
            Err(JwtError::BadKey)
        );
        let key = signing_key();
        assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.kid()));
    }
}

mod provider_tokens {
    use super::*;

    static RSA: LazyLock<RsaKeyPair> =
        LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

    fn rsa_jwk(extra: &Value) -> Value {
        let public = RSA.public_key();
        let mut jwk = json!({
            "kty": "RSA",
            "kid": "rsa",
            "n": b64(public.modulus().big_endian_without_leading_zero()),
            "e": b64(public.exponent().big_endian_without_leading_zero()),
        });
        jwk.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        jwk
    }

    fn keys(members: &[Value]) -> ProviderKeys {
        ProviderKeys::parse(json!({ "keys": members }).to_string().as_bytes()).unwrap()
    }

    fn rsa_sign(padding: &'static dyn RsaEncoding) -> impl Fn(&[u8]) -> Vec<u8> {
        move |message| {
            let mut signature = vec![0; RSA.public_modulus_len()];
            RSA.sign(padding, &SystemRandom::new(), message, &mut signature)
                .unwrap();
            signature
        }
    }

    fn rsa_token(alg: &str, padding: &'static dyn RsaEncoding) -> String {
        token(&json!({"alg": alg, "kid": "rsa"}), rsa_sign(padding))
    }

    #[test]
    fn every_rsa_algorithm_verifies() {
        let keys = keys(&[rsa_jwk(&json!({"use": "sig"}))]);
        let paddings: [(&str, &'static dyn RsaEncoding); 4] = [
            ("RS256", &RSA_PKCS1_SHA256),
            ("RS384", &RSA_PKCS1_SHA384),
            ("RS512", &RSA_PKCS1_SHA512),
            ("PS256", &RSA_PSS_SHA256),
        ];
        for (alg, padding) in paddings {
            let claims = verify_provider(&rsa_token(alg, padding), &keys);
            assert_eq!(claims.unwrap()["sub"], "1", "{alg}");
        }
    }

    #[test]
    fn es256_es384_and_eddsa_verify() {
        let es256 = signing_key();
        let signed = es256.sign(&claims()).unwrap();
        assert!(verify_provider(&signed, &jwks_of(&[es256.public_jwk()])).is_ok());

        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let jwk = json!({"kty": "EC", "crv": "P-384", "kid": "p384",
                         "x": b64(&point[1..49]), "y": b64(&point[49..])});
        let signed = token(&json!({"alg": "ES384", "kid": "p384"}), |message| {
            pair.sign(&SystemRandom::new(), message)
                .unwrap()
                .as_ref()
                .to_vec()
        });
        assert!(verify_provider(&signed, &keys(&[jwk])).is_ok());

        let pair = Ed25519KeyPair::generate().unwrap();
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(pair.public_key())});
        let signed = token(&json!({"alg": "EdDSA", "kid": "ed"}), |m| {
            pair.sign(m).as_ref().to_vec()
        });
        assert!(verify_provider(&signed, &keys(&[jwk])).is_ok());
    }

    #[test]
    fn the_published_es256_example_verifies() {
        // RFC 7515, A.3.
        let jwk = json!({"kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
        let signed = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6\
                      Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4Gawxaep\
                      mXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        assert_eq!(
            verify_provider(signed, &keys(&[jwk])).unwrap()["iss"],
            "joe"
        );
    }

    #[test]
    fn unsigned_tokens_are_refused_whatever_the_keys() {
        let keys = keys(&[rsa_jwk(&json!({}))]);
        for alg in ["none", "NONE", "nOnE"] {
            let unsigned = token(&json!({"alg": alg, "kid": "rsa"}), |_| Vec::new());
            assert_eq!(
                verify_provider(&unsigned, &keys),
                Err(JwtError::UnsupportedAlgorithm)
            );
        }
    }

    #[test]
    fn an_hmac_with_the_public_key_as_secret_is_refused() {
        use aws_lc_rs::hmac;
        let modulus = rsa_jwk(&json!({}))["n"].as_str().unwrap().to_owned();
        let octets = json!({"kty": "oct", "kid": "oct", "k": b64(&modulus), "alg": "HS256"});
        let keys = keys(&[rsa_jwk(&json!({})), octets]);
        assert_eq!(keys.len(), 1, "symmetric keys are left out");
        for kid in ["rsa", "oct"] {
            let forged = token(&json!({"alg": "HS256", "kid": kid}), |message| {
                let key = hmac::Key::new(hmac::HMAC_SHA256, modulus.as_bytes());
                hmac::sign(&key, message).as_ref().to_vec()
            });
            assert_eq!(
                verify_provider(&forged, &keys),
                Err(JwtError::UnsupportedAlgorithm)
            );
        }
    }

    #[test]
    fn a_key_verifies_only_its_own_algorithms() {
        let rsa = keys(&[rsa_jwk(&json!({}))]);
        let forged = token(&json!({"alg": "ES256", "kid": "rsa"}), |_| vec![0; 64]);
        assert_eq!(
            verify_provider(&forged, &rsa),
            Err(JwtError::UnsupportedAlgorithm)
        );
        let bound = keys(&[rsa_jwk(&json!({"alg": "RS512"}))]);
        let signed = rsa_token("RS256", &RSA_PKCS1_SHA256);
        assert_eq!(verify_provider(&signed, &bound), Err(JwtError::UnknownKey));
    }

    #[test]
    fn an_unknown_kid_is_an_error_of_its_own() {
        let signed = rsa_token("RS256", &RSA_PKCS1_SHA256);
        let others = keys(&[rsa_jwk(&json!({"kid": "new"}))]);
        assert_eq!(verify_provider(&signed, &others), Err(JwtError::UnknownKey));
        assert_eq!(
            verify_provider(&signed, &keys(&[])),
            Err(JwtError::UnknownKey)
        );
    }

    #[test]
    fn a_token_without_kid_is_tried_with_every_key() {
        let mut first = serde_json::to_value(signing_key().public_jwk()).unwrap();
        first["alg"] = Value::Null;
        let keys = keys(&[first, rsa_jwk(&json!({}))]);
        let signed = token(&json!({"alg": "RS256"}), rsa_sign(&RSA_PKCS1_SHA256));
        assert!(verify_provider(&signed, &keys).is_ok());
    }

    #[test]
    fn a_wrong_signature_is_refused() {
        let keys = keys(&[rsa_jwk(&json!({}))]);
        let forged = token(&json!({"alg": "RS256", "kid": "rsa"}), |_| vec![1; 256]);
        assert_eq!(verify_provider(&forged, &keys), Err(JwtError::BadSignature));
        let signed = rsa_token("RS256", &RSA_PKCS1_SHA256);
        let (head, rest) = signed.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        let exchanged = format!("{head}.{}.{signature}", b64(r#"{"sub":"2"}"#));
        assert_eq!(
            verify_provider(&exchanged, &keys),
            Err(JwtError::BadSignature)
        );
    }

    #[test]
    fn critical_headers_and_garbage_are_refused() {
        let keys = keys(&[rsa_jwk(&json!({}))]);
        let header = json!({"alg": "RS256", "kid": "rsa", "crit": ["b64"], "b64": false});
        let critical = token(&header, rsa_sign(&RSA_PKCS1_SHA256));
        assert_eq!(
            verify_provider(&critical, &keys),
            Err(JwtError::CriticalHeader)
        );
        for garbage in [
            "",
            ".",
            "a.b.c",
            "....",
            "e30.e30.e30",
            "{\"alg\":\"none\"}",
        ] {
            assert_eq!(
                verify_provider(garbage, &keys),
                Err(JwtError::Malformed),
                "{garbage}"
            );
        }
    }

    #[test]
    fn useless_members_do_not_spoil_a_set_and_no_set_is_an_error() {
        let keys = keys(&[
            rsa_jwk(&json!({"use": "enc"})),
            json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}),
            json!({"kty": "RSA"}),
            json!("text"),
            rsa_jwk(&json!({"x5c": ["?"], "issuer": "https://a.example"})),
        ]);
        assert_eq!(keys.len(), 1);
        for no_set in ["", "[]", "{}", "<html>", r#"{"keys":{}}"#] {
            let parsed = ProviderKeys::parse(no_set.as_bytes()).map(|_| ());
            assert_eq!(parsed, Err(JwtError::BadKey), "{no_set}");
        }
    }

    #[test]
    fn claims_can_be_read_without_a_key() {
        let unsigned = token(&json!({"alg": "none"}), |_| Vec::new());
        assert_eq!(decode_unverified(&unsigned).unwrap()["sub"], "1");
        assert_eq!(decode_unverified("nothing"), Err(JwtError::Malformed));
    }
}
