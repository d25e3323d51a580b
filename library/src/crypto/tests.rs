use super::*;
use data_encoding::BASE64URL_NOPAD;
use proptest::prelude::*;

/// Made by `openssl genpkey` and its like.
macro_rules! key {
    ($name:literal) => {
        include_bytes!(concat!("keys/", $name))
    };
}

const MESSAGE: &[u8] = b"a message";

fn private(pem: &[u8]) -> PrivateKey {
    PrivateKey::read(pem).expect("a key")
}

fn public(pem: &[u8]) -> PublicKey {
    PublicKey::read(pem).expect("a key")
}

#[test]
fn what_openssl_signed_is_verified() {
    let (rsa, p256) = (public(key!("rsa_public.pem")), public(key!("p256_public.pem")));
    let pkcs1 = Scheme::Rsa(Hash::Sha256);
    assert_eq!(rsa.verify(pkcs1, MESSAGE, key!("rsa_sha256.sig")), Ok(true));
    assert_eq!(rsa.verify(Scheme::RsaPss(Hash::Sha512), MESSAGE, key!("rsa_pss_sha512.sig")), Ok(true));
    assert_eq!(rsa.verify(Scheme::RsaPss(Hash::Sha256), MESSAGE, key!("rsa_sha256.sig")), Ok(false));
    assert_eq!(rsa.verify(pkcs1, b"another", key!("rsa_sha256.sig")), Ok(false));
    assert_eq!(p256.verify(Scheme::Ecdsa(Form::Der), MESSAGE, key!("p256_der.sig")), Ok(true));
    assert_eq!(p256.verify(Scheme::Ecdsa(Form::Fixed), MESSAGE, key!("p256_der.sig")), Ok(false));
}

#[test]
fn a_public_key_is_the_same_in_each_of_its_wrappings() {
    let rsa = public(key!("rsa_public.pem"));
    assert_eq!(public(key!("rsa_public_pkcs1.pem")), rsa);
    assert_eq!(public(key!("rsa_certificate.pem")), rsa);
}

#[test]
fn what_is_signed_is_verified_by_the_other_half_and_by_no_other() {
    let pairs: [(&[u8], &[u8], Vec<Scheme>); 5] = [
        (
            key!("rsa.pem"),
            key!("rsa_public.pem"),
            vec![Scheme::Rsa(Hash::Sha256), Scheme::Rsa(Hash::Sha384), Scheme::RsaPss(Hash::Sha512)],
        ),
        (key!("rsa_pkcs1.pem"), key!("rsa_public.pem"), vec![Scheme::Rsa(Hash::Sha512)]),
        (
            key!("p256.pem"),
            key!("p256_public.pem"),
            vec![Scheme::Ecdsa(Form::Der), Scheme::Ecdsa(Form::Fixed)],
        ),
        (key!("p384.pem"), key!("p384_public.pem"), vec![Scheme::Ecdsa(Form::Fixed)]),
        (key!("ed25519.pem"), key!("ed25519_public.pem"), vec![Scheme::Ed25519]),
    ];
    for (signer, verifier, schemes) in pairs {
        for scheme in schemes {
            let signed = private(signer).sign(scheme, MESSAGE).expect("a signature");
            assert_eq!(public(verifier).verify(scheme, MESSAGE, &signed), Ok(true), "{scheme:?}");
            assert_eq!(public(verifier).verify(scheme, b"a messagE", &signed), Ok(false), "{scheme:?}");
            let other = public(key!("p384_public.pem"));
            assert_ne!(other.verify(scheme, b"", &signed), Ok(true), "{scheme:?}");
        }
    }
}

/// RFC 8032, 7.1, tests 1 and 2.
#[test]
fn ed25519_signs_as_the_published_vectors_do() {
    let unhex = |text: &str| -> Vec<u8> {
        (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex")).collect()
    };
    let vectors = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ];
    for (seed, key, message, signature) in vectors {
        let signer = private(&unhex(seed));
        assert_eq!(signer.ed25519_public(), Some(unhex(key)));
        assert_eq!(signer.sign(Scheme::Ed25519, &unhex(message)), Ok(unhex(signature)));
        let verified = public(&unhex(key)).verify(Scheme::Ed25519, &unhex(message), &unhex(signature));
        assert_eq!(verified, Ok(true));
    }
}

/// RFC 7515, A.2 and A.3, and RFC 8037, A.4.
#[test]
fn keys_of_jose_verify_the_published_signatures() {
    let jwk = |json: &str| serde_json::from_str::<Jwk>(json).expect("a key");
    let vectors = [
        (
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            Scheme::Ecdsa(Form::Fixed),
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            r#"{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#,
            Scheme::Rsa(Hash::Sha256),
            "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            Scheme::Ed25519,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ];
    for (json, scheme, message, signature) in vectors {
        let key = PublicKey::from_jwk(&jwk(json)).expect("a key");
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).expect("base64url");
        assert_eq!(key.verify(scheme, message.as_bytes(), &signature), Ok(true), "{scheme:?}");
        assert_eq!(key.verify(scheme, b"another", &signature), Ok(false), "{scheme:?}");
    }
}

#[test]
fn a_key_that_cannot_be_used_says_why() {
    let why = |pem: &[u8]| PrivateKey::read(pem).expect_err("no private key").to_string();
    assert!(why(key!("p256_sec1.pem")).contains("openssl pkcs8 -topk8 -nocrypt"));
    assert!(why(key!("rsa_public.pem")).contains("\"PUBLIC KEY\""));
    let why = PublicKey::read(key!("rsa.pem")).expect_err("a private key");
    assert!(why.to_string().contains("\"PRIVATE KEY\" is no public key"));
    let why = private(key!("p256.pem")).sign(Scheme::Rsa(Hash::Sha256), b"").expect_err("another kind");
    assert_eq!(why.to_string(), "the key is not for RSA");
}

#[test]
fn a_pair_of_ed25519_that_is_written_is_read_again() {
    let seed = [7; 32];
    let pair = private(&seed);
    let key = pair.ed25519_public().expect("of this kind");
    let read = private(pem::ed25519_private(&seed).as_bytes());
    assert_eq!(read.ed25519_public(), Some(key.clone()));
    assert_eq!(public(pem::ed25519_public(&key).as_bytes()), PublicKey::Ed25519(key));
}

proptest! {
    #[test]
    fn whatever_is_given_as_a_key_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let wrapped = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", data_encoding::BASE64.encode(&bytes));
        for text in [bytes.as_slice(), wrapped.as_bytes(), wrapped.replace("PUBLIC", "PRIVATE").as_bytes()] {
            if let Ok(key) = PublicKey::read(text) {
                prop_assert_ne!(key.verify(Scheme::Ed25519, b"", b""), Ok(true));
            }
            drop(PrivateKey::read(text));
        }
    }
}
