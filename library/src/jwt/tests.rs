use super::*;
use data_encoding::BASE64URL_NOPAD;
use proptest::prelude::*;
use serde_json::Map;

const RSA: &[u8] = include_bytes!("../crypto/keys/rsa.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("../crypto/keys/rsa_public.pem");
const P256: &[u8] = include_bytes!("../crypto/keys/p256.pem");
const P256_PUBLIC: &[u8] = include_bytes!("../crypto/keys/p256_public.pem");
const ED25519: &[u8] = include_bytes!("../crypto/keys/ed25519.pem");
const ED25519_PUBLIC: &[u8] = include_bytes!("../crypto/keys/ed25519_public.pem");

fn signed(key: &[u8], algorithm: &str) -> String {
    sign(br#"{"sub":"u1"}"#, key, algorithm, Map::new()).expect("a token")
}

fn verify(token: &str, key: &[u8]) -> Result<(), String> {
    Token::read(token)?.verify(&[Key::read(key)?], &[], &Rules::default())
}

/// RFC 7515, A.1.
#[test]
fn the_published_token_is_verified() {
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let key = BASE64URL_NOPAD
        .decode(b"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
        .expect("base64url");
    assert_eq!(verify(token, &key), Ok(()));
    let late = Rules { now: 1_300_819_380.0, ..Rules::default() };
    let expired = Token::read(token).expect("a token").verify(&[Key::Secret(key)], &[], &late);
    assert_eq!(expired, Err("the token has expired".to_owned()));
}

#[test]
fn each_algorithm_is_verified_by_its_key_and_by_no_other() {
    let all: [(&str, &[u8], &[u8]); 8] = [
        ("HS256", b"secret", b"secret"),
        ("HS384", b"secret", b"secret"),
        ("HS512", b"secret", b"secret"),
        ("RS256", RSA, RSA_PUBLIC),
        ("RS512", RSA, RSA_PUBLIC),
        ("PS384", RSA, RSA_PUBLIC),
        ("ES256", P256, P256_PUBLIC),
        ("EdDSA", ED25519, ED25519_PUBLIC),
    ];
    for (algorithm, signer, verifier) in all {
        let token = signed(signer, algorithm);
        assert_eq!(verify(&token, verifier), Ok(()), "{algorithm}");
        for (other, _, key) in all.iter().filter(|(_, _, key)| *key != verifier) {
            assert!(verify(&token, key).is_err(), "{algorithm} by the key of {other}");
        }
    }
}

/// The classic: a token signed by HMAC with the public key, which everyone knows, as the secret.
#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    let header = BASE64URL_NOPAD.encode(r#"{"alg":"HS256"}"#.as_bytes());
    let message = format!("{header}.{}", BASE64URL_NOPAD.encode("{}".as_bytes()));
    let code = crate::crypto::Hash::Sha256.hmac(RSA_PUBLIC, message.as_bytes());
    let forged = format!("{message}.{}", BASE64URL_NOPAD.encode(&code));
    assert_eq!(verify(&forged, RSA_PUBLIC), Err("algorithm \"HS256\" does not fit the key".to_owned()));
    let refused = sign(b"{}", RSA_PUBLIC, "HS256", Map::new()).expect_err("a key in PEM");
    assert!(refused.contains("HS256 takes a secret"), "{refused}");
}

#[test]
fn a_token_without_a_signature_is_refused_whatever_it_calls_that() {
    for name in ["none", "None", "NONE", "nOnE", ""] {
        let header = BASE64URL_NOPAD.encode(format!(r#"{{"alg":"{name}"}}"#).as_bytes());
        let token = format!("{header}.{}.", BASE64URL_NOPAD.encode("{}".as_bytes()));
        assert_eq!(verify(&token, b"secret"), Err(format!("algorithm {name:?} is not accepted")));
    }
}

#[test]
fn only_algorithms_that_are_listed_are_accepted() {
    let token = signed(b"secret", "HS256");
    let verify = |algorithms: &[&str]| {
        let algorithms: Vec<_> = algorithms.iter().map(ToString::to_string).collect();
        let keys = [Key::Secret(b"secret".to_vec())];
        Token::read(&token).expect("a token").verify(&keys, &algorithms, &Rules::default())
    };
    assert_eq!(verify(&["HS512", "HS256"]), Ok(()));
    assert_eq!(verify(&["HS512"]), Err("algorithm \"HS256\" is not accepted".to_owned()));
}

#[test]
fn a_critical_extension_is_refused_for_none_is_known() {
    let header = BASE64URL_NOPAD.encode(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#.as_bytes());
    let token = format!("{header}.{}.AA", BASE64URL_NOPAD.encode("{}".as_bytes()));
    assert!(Token::read(&token).is_err_and(|e| e.contains("critical")));
}

#[test]
fn of_a_set_the_keys_that_can_have_signed_are_tried() {
    let x = crate::crypto::PrivateKey::read(ED25519).expect("a key").ed25519_public().expect("of this kind");
    let key =
        |more: &str| format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"{more}}}"#, BASE64URL_NOPAD.encode(&x));
    let set = |keys: &[String]| -> Jwks {
        serde_json::from_str(&format!(r#"{{"keys":[{}]}}"#, keys.join(","))).expect("a set")
    };
    let named = |kid: &str| {
        let header = Map::from_iter([("kid".to_owned(), kid.into())]);
        sign(b"{}", ED25519, "EdDSA", header).expect("a token")
    };
    let count = |set: &Jwks, token: &str| set.keys_for(&Token::read(token).expect("a token")).len();
    let (a, b) = (key(r#","kid":"a""#), key(r#","kid":"b""#));
    let both = set(&[a, b, r#"{"kty":"unheard of"}"#.to_owned(), r#"{"kty":5}"#.to_owned()]);
    assert_eq!(count(&both, &named("b")), 1);
    assert_eq!(count(&both, &named("c")), 0);
    assert_eq!(count(&both, &signed(ED25519, "EdDSA")), 2, "a token that names none may be of any");
    assert_eq!(count(&set(&[key(r#","use":"enc""#)]), &named("a")), 0, "a key for something else");
    assert_eq!(count(&set(&[key(r#","alg":"RS256""#)]), &named("a")), 0, "a key of another algorithm");
}

proptest! {
    #[test]
    fn whatever_comes_as_a_token_is_read_or_refused(text in ".{0,80}", parts in proptest::collection::vec("[A-Za-z0-9_-]{0,40}", 0..5)) {
        for token in [text, parts.join(".")] {
            prop_assert!(verify(&token, b"secret").is_err());
        }
    }

    #[test]
    fn a_token_with_one_byte_changed_is_refused(at in 0_usize..100, by in 1_u8..255) {
        let mut token = signed(b"secret", "HS256").into_bytes();
        let at = at % token.len();
        token[at] ^= by;
        if let Ok(text) = String::from_utf8(token) {
            prop_assert!(verify(&text, b"secret").is_err());
        }
    }
}
