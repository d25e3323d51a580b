//! AES-GCM.

use super::KeyError;
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};

/// Random bytes of the system's.
pub(crate) fn random(count: usize) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; count];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system has no random bytes".to_owned())?;
    Ok(bytes)
}

/// A random nonce of 12 bytes, the encrypted text, and its tag of 16 bytes.
pub(crate) fn seal(key: &[u8], text: &[u8], also: &[u8]) -> Result<Vec<u8>, KeyError> {
    let nonce = random(NONCE_LEN).map_err(KeyError)?;
    let nonce = <[u8; NONCE_LEN]>::try_from(nonce).expect("as many as were asked for");
    seal_with(nonce, key, text, also)
}

fn seal_with(nonce: [u8; NONCE_LEN], key: &[u8], text: &[u8], also: &[u8]) -> Result<Vec<u8>, KeyError> {
    let key = read_key(key)?;
    let mut sealed = text.to_vec();
    let done =
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(also), &mut sealed);
    done.map_err(|_| KeyError("the text is too long to be encrypted".to_owned()))?;
    sealed.splice(0..0, nonce);
    Ok(sealed)
}

/// The text of what [`seal`] made; none: it was made with another key, or changed.
pub(crate) fn open(key: &[u8], sealed: &[u8], also: &[u8]) -> Result<Option<Vec<u8>>, KeyError> {
    let key = read_key(key)?;
    let Some((nonce, rest)) = sealed.split_first_chunk::<NONCE_LEN>() else { return Ok(None) };
    let mut text = rest.to_vec();
    let opened = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(also), &mut text);
    let Ok(length) = opened.map(|text| text.len()) else { return Ok(None) };
    text.truncate(length);
    Ok(Some(text))
}

fn read_key(key: &[u8]) -> Result<LessSafeKey, KeyError> {
    let algorithm = match key.len() {
        16 => &AES_128_GCM,
        32 => &AES_256_GCM,
        n => return Err(KeyError(format!("the key has {n} bytes; AES-GCM takes 16 or 32"))),
    };
    let key = UnboundKey::new(algorithm, key).map_err(|_| KeyError("the key is refused".to_owned()))?;
    Ok(LessSafeKey::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    /// McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 14 and 2.
    #[test]
    fn what_is_sealed_is_that_of_the_published_vectors() {
        let sealed = seal_with([0; 12], &[0; 32], &[0; 16], b"").expect("a key");
        assert_eq!(
            HEXLOWER.encode(&sealed[NONCE_LEN..]),
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
        );
        let sealed = seal_with([0; 12], &[0; 16], &[0; 16], b"").expect("a key");
        assert_eq!(
            HEXLOWER.encode(&sealed[NONCE_LEN..]),
            "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf"
        );
    }

    #[test]
    fn what_was_changed_does_not_open() {
        let key = [7; 32];
        let sealed = seal(&key, b"text", b"also").expect("a key");
        assert_eq!(open(&key, &sealed, b"also"), Ok(Some(b"text".to_vec())));
        assert_eq!(open(&key, &sealed, b"else"), Ok(None));
        assert_eq!(open(&[8; 32], &sealed, b"also"), Ok(None));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open(&key, &changed, b"also"), Ok(None), "byte {at}");
            assert_eq!(open(&key, &sealed[..at], b"also"), Ok(None), "{at} bytes");
        }
        assert_ne!(sealed, seal(&key, b"text", b"also").expect("a key"), "the nonce is random");
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        assert!(seal(&[0; 24], b"", b"").is_err());
        assert!(open(&[0; 31], b"", b"").is_err());
    }
}
