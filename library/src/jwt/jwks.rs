//! The public keys that a signer publishes under a URL, kept for a while.

use super::token::{Key, Token};
use crate::crypto::{Jwk, PublicKey};
use crate::http::{HttpRequest, Outbound};
use http::Method;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long keys are taken as they are.
const FRESH: Duration = Duration::from_secs(300);
/// How long they serve on when they cannot be had anew.
const STALE: Duration = Duration::from_secs(3600);
/// A token that names an unknown key makes them be asked for again, but not more often than this: anyone can send one. So
/// does a signer that does not answer.
const AGAIN: Duration = Duration::from_secs(10);
/// How many URLs are known at once.
const URLS: usize = 64;
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_BODY: usize = 1 << 20;

/// A set of keys of RFC 7517.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(crate) struct Jwks {
    // a key of a kind that is not known must not spoil the others
    keys: Vec<serde_json::Value>,
}

impl Jwks {
    fn jwks(&self) -> impl Iterator<Item = Jwk> {
        self.keys.iter().filter_map(|key| serde_json::from_value(key.clone()).ok())
    }

    /// The keys that may have signed the token.
    pub(crate) fn keys_for(&self, token: &Token<'_>) -> Vec<Key> {
        let fits = |key: &Jwk| {
            token.kid.as_ref().is_none_or(|kid| key.kid.as_ref().is_none_or(|k| k == kid))
                && key.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
                && key.alg.as_ref().is_none_or(|alg| *alg == token.algorithm_name)
        };
        let keys = self.jwks().filter(fits).filter_map(|key| PublicKey::from_jwk(&key).ok());
        keys.map(Key::Public).collect()
    }

    fn knows(&self, kid: Option<&str>) -> bool {
        kid.is_none_or(|kid| self.jwks().any(|key| key.kid.as_deref() == Some(kid)))
    }
}

/// Keys by URL. Shared by the process.
#[derive(Default, Debug)]
pub(crate) struct JwksCache {
    entries: Mutex<HashMap<String, Arc<Entry>>>,
}

/// What is known of one URL. Who asks for it holds the lock: others wait for the same answer.
type Entry = tokio::sync::Mutex<Known>;

#[derive(Default, Debug)]
struct Known {
    /// The keys, and when they came.
    keys: Option<(Instant, Arc<Jwks>)>,
    /// When they were asked for last, and why they did not come.
    asked: Option<(Instant, Option<String>)>,
}

impl JwksCache {
    /// The keys of a URL, asked for if they are old or do not hold the key `kid`.
    pub(crate) async fn keys(
        &self,
        outbound: &Outbound,
        url: &str,
        kid: Option<&str>,
        only: Option<Arc<[String]>>,
    ) -> Result<Arc<Jwks>, String> {
        let entry = self.entry(url);
        let mut known = entry.lock().await;
        if !known.is_enough(kid) {
            let fetched = fetch(outbound, url, only).await;
            let now = Instant::now();
            known.asked = Some((now, fetched.as_ref().err().cloned()));
            if let Ok(keys) = fetched {
                known.keys = Some((now, Arc::new(keys)));
            }
        }
        match (&known.keys, &known.asked) {
            (Some((came, keys)), _) if came.elapsed() < STALE => Ok(keys.clone()),
            (_, Some((_, Some(error)))) => Err(format!("cannot get the keys of {url}: {error}")),
            _ => Err(format!("cannot get the keys of {url}")),
        }
    }

    fn entry(&self, url: &str) -> Arc<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= URLS && !entries.contains_key(url) {
            entries.clear();
        }
        entries.entry(url.to_owned()).or_default().clone()
    }
}

impl Known {
    fn is_enough(&self, kid: Option<&str>) -> bool {
        let is_fresh =
            self.keys.as_ref().is_some_and(|(came, keys)| came.elapsed() < FRESH && keys.knows(kid));
        is_fresh || self.asked.as_ref().is_some_and(|(asked, _)| asked.elapsed() < AGAIN)
    }
}

async fn fetch(outbound: &Outbound, url: &str, only: Option<Arc<[String]>>) -> Result<Jwks, String> {
    let request = HttpRequest::new(Method::GET, url, TIMEOUT, MAX_BODY).map_err(|e| e.to_string())?;
    let answer = outbound.send(HttpRequest { only, ..request }).await.map_err(|e| e.to_string())?;
    if answer.status != http::StatusCode::OK {
        return Err(format!("status {}", answer.status.as_u16()));
    }
    serde_json::from_slice(&answer.body).map_err(|e| format!("no set of keys: {e}"))
}
