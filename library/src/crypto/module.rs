//! `crypto`: what functions get of hashes, keys and passwords.

use super::password::{self, Argon2Cost};
use super::{Form, Hash, KeyError, PrivateKey, PublicKey, Scheme, pem, seal};
use crate::call::{Call, Done, misuse};
use crate::registry::Registry;
use data_encoding::HEXLOWER;
use mlua::{LuaString, Table};
use subtle::ConstantTimeEq as _;

/// Random bytes that can be asked for at once.
const MOST_RANDOM: usize = 1 << 20;

pub(crate) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    for (name, hash) in Hash::ALL {
        to.add_later(name, move |call, s| hashed(call, s, move |s| hash.digest(s)))?;
        to.add_later(&format!("hmac_{name}"), move |call, (message, key): (LuaString, LuaString)| {
            let key = key.as_bytes().to_vec();
            hashed(call, message, move |message| hash.hmac(&key, message))
        })?;
    }
    to.add("equal", |_, (a, b): (LuaString, LuaString)| Ok(bool::from(a.as_bytes().ct_eq(&b.as_bytes()))))?;
    to.add("random_bytes", |call, count: usize| match count {
        0..=MOST_RANDOM => call.text(seal::random(count).map_err(mlua::Error::runtime)?),
        _ => misuse(format!("{count} bytes; at most {MOST_RANDOM}")),
    })?;
    to.add("uuid", |call, (): ()| {
        let bytes = seal::random(16).map_err(mlua::Error::runtime)?;
        let bytes = uuid::Bytes::try_from(bytes).expect("as many as were asked for");
        call.text(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string())
    })?;
    install_sealing(to)?;
    install_signing(to)?;
    install_passwords(to)
}

/// The hash of a text, in hexadecimal digits.
async fn hashed(
    call: Call,
    s: LuaString,
    hash: impl FnOnce(&[u8]) -> Vec<u8> + Send + 'static,
) -> Done<LuaString> {
    let hash = call.apart(&s, hash).await?;
    call.text(HEXLOWER.encode(&hash))
}

fn install_sealing(to: &Registry<'_>) -> mlua::Result<()> {
    type Sealing = (LuaString, LuaString, Option<LuaString>);
    let also = |also: Option<LuaString>| also.map(|s| s.as_bytes().to_vec()).unwrap_or_default();
    to.add_later("seal", move |call: Call, (key, text, more): Sealing| async move {
        let (key, also) = (key.as_bytes().to_vec(), also(more));
        let sealed = call.apart(&text, move |text| seal::seal(&key, text, &also)).await?;
        sealed.map_or_else(|error| misuse(error.to_string()), |bytes| call.text(bytes))
    })?;
    to.add_later("open", move |call: Call, (key, sealed, more): Sealing| async move {
        let (key, also) = (key.as_bytes().to_vec(), also(more));
        match call.apart(&sealed, move |sealed| seal::open(&key, sealed, &also)).await? {
            Ok(text) => {
                let refused = "it was sealed with another key, or changed";
                call.text_or(text.ok_or(refused))
            }
            Err(error) => misuse(error.to_string()),
        }
    })
}

fn install_signing(to: &Registry<'_>) -> mlua::Result<()> {
    to.add("ed25519_keypair", |call, (): ()| {
        let seed = seal::random(32).map_err(mlua::Error::runtime)?;
        let public = PrivateKey::read(&seed).ok().and_then(|key| key.ed25519_public());
        let public = public.ok_or_else(|| mlua::Error::runtime("the system's random bytes make no key"))?;
        let pair = call.lua.create_table()?;
        pair.raw_set("private", pem::ed25519_private(&seed))?;
        pair.raw_set("public", pem::ed25519_public(&public))?;
        Ok(pair)
    })?;
    type Scheming = fn(Option<&Table>) -> Done<Scheme>;
    let kinds: [(&str, Scheming); 3] =
        [("ed25519", |_| Ok(Scheme::Ed25519)), ("rsa", rsa_scheme), ("ecdsa", ecdsa_scheme)];
    for (name, scheme) in kinds {
        type Signing = (LuaString, LuaString, Option<Table>);
        to.add_later(
            &format!("{name}_sign"),
            move |call: Call, (message, key, options): Signing| async move {
                let scheme = scheme(options.as_ref())?;
                let (message, key) = (message.as_bytes().to_vec(), key.as_bytes().to_vec());
                let sign = move || PrivateKey::read(&key)?.sign(scheme, &message);
                // RSA takes milliseconds
                let is_slow = !matches!(scheme, Scheme::Ed25519);
                call.text_or(call.apart_if(is_slow, sign).await?)
            },
        )?;
        type Verifying = (LuaString, LuaString, LuaString, Option<Table>);
        to.add_later(
            &format!("{name}_verify"),
            move |call: Call, (message, signed, key, options): Verifying| async move {
                let scheme = scheme(options.as_ref())?;
                let (signed, key) = (signed.as_bytes().to_vec(), key.as_bytes().to_vec());
                let verify = move |message: &[u8]| PublicKey::read(&key)?.verify(scheme, message, &signed);
                let verified: Result<bool, KeyError> = call.apart(&message, verify).await?;
                Ok(verified.map_err(|error| error.to_string()))
            },
        )?;
    }
    Ok(())
}

fn option(options: Option<&Table>, name: &str) -> Done<Option<String>> {
    let Some(options) = options else { return Ok(None) };
    match options.raw_get::<mlua::Value>(name)? {
        mlua::Value::Nil => Ok(None),
        mlua::Value::String(text) => Ok(Some(text.to_string_lossy())),
        other => misuse(format!("option `{name}` is a text, got {}", other.type_name())),
    }
}

fn rsa_scheme(options: Option<&Table>) -> Done<Scheme> {
    let name = option(options, "hash")?.unwrap_or_else(|| "sha256".to_owned());
    let Some((_, hash)) = Hash::ALL.iter().find(|(known, _)| *known == name) else {
        return misuse(format!("there is no hash {name:?}; RSA signs with sha256, sha384 or sha512"));
    };
    match option(options, "padding")?.as_deref() {
        None | Some("pkcs1") => Ok(Scheme::Rsa(*hash)),
        Some("pss") => Ok(Scheme::RsaPss(*hash)),
        Some(other) => misuse(format!("there is no padding {other:?}; there are pkcs1 and pss")),
    }
}

fn ecdsa_scheme(options: Option<&Table>) -> Done<Scheme> {
    match option(options, "format")?.as_deref() {
        None | Some("der") => Ok(Scheme::Ecdsa(Form::Der)),
        Some("fixed") => Ok(Scheme::Ecdsa(Form::Fixed)),
        Some(other) => misuse(format!("there is no format {other:?}; there are der and fixed")),
    }
}

fn install_passwords(to: &Registry<'_>) -> mlua::Result<()> {
    to.add_later("argon2_hash", |call: Call, (password, options): (LuaString, Option<Table>)| async move {
        let cost = argon2_cost(options.as_ref())?;
        let password = password.as_bytes().to_vec();
        slowly(&call, move || password::argon2_hash(&password, cost)).await
    })?;
    to.add_later("bcrypt_hash", |call: Call, (password, cost): (LuaString, Option<u32>)| async move {
        let cost = password::check_bcrypt_cost(cost.unwrap_or(password::BCRYPT_COST)).or_else(misuse)?;
        let password = password.as_bytes().to_vec();
        slowly(&call, move || password::bcrypt_hash(&password, cost)).await
    })?;
    type Verify = fn(&[u8], &str) -> Result<bool, String>;
    let kinds: [(&str, Verify); 2] =
        [("argon2_verify", password::argon2_verify), ("bcrypt_verify", password::bcrypt_verify)];
    for (name, verify) in kinds {
        to.add_later(name, move |call: Call, (password, hash): (LuaString, LuaString)| async move {
            let (password, hash) = (password.as_bytes().to_vec(), hash.to_string_lossy());
            slowly(&call, move || verify(&password, &hash)).await
        })?;
    }
    Ok(())
}

/// Work that takes a good part of a second and memory: no more of it at once than the machine has processors.
async fn slowly<T: Send + 'static>(
    call: &Call,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Done<Result<T, String>> {
    let turn = call.services().password_turn().await;
    let done = call.off_thread(work).await;
    drop(turn);
    done
}

fn argon2_cost(options: Option<&Table>) -> Done<Argon2Cost> {
    let mut cost = Argon2Cost::default();
    if let Some(options) = options {
        cost.memory = options.raw_get::<Option<u32>>("memory")?.unwrap_or(cost.memory);
        cost.passes = options.raw_get::<Option<u32>>("passes")?.unwrap_or(cost.passes);
        cost.lanes = options.raw_get::<Option<u32>>("lanes")?.unwrap_or(cost.lanes);
    }
    cost.check().or_else(misuse)
}
