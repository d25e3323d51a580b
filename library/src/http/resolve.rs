//! Names to addresses that may be connected to.

use super::Policy;
use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Resolves names and leaves out the addresses that the policy denies: what is left is what is connected to, so there is
/// no second look-up that could answer otherwise.
pub(super) struct Guarded {
    pub(super) policy: Arc<Policy>,
    pub(super) names: Names,
}

/// How a name is looked up.
pub(super) type Names = fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>>;

/// The system's way.
pub(super) fn system(name: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
    Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|a| a.ip()).collect()) })
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy.clone();
        let found = (self.names)(name.as_str().to_owned());
        Box::pin(async move {
            let (mut allowed, mut denied) = (Vec::new(), None);
            for address in found.await? {
                match policy.check_address(name.as_str(), address) {
                    // port 0 stands for the URL's
                    Ok(()) => allowed.push(SocketAddr::new(address, 0)),
                    Err(error) => denied = Some(error),
                }
            }
            match denied {
                Some(denied) if allowed.is_empty() => Err(denied.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}
