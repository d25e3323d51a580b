//! Hosts and networks, as a configuration names them.

use ipnet::IpNet;
use std::net::IpAddr;
use std::str::FromStr;

/// Hosts by name, or addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A host name in lower case; with `*.` before it, every name below it, but not itself.
    Host(String),
    /// Addresses.
    Network(IpNet),
}

impl Place {
    /// Whether it names this host; a network names none.
    #[must_use]
    pub fn names(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        match self {
            Self::Host(pattern) => match pattern.strip_prefix('*') {
                Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
                None => *pattern == host,
            },
            Self::Network(_) => false,
        }
    }

    /// Whether it is a network that holds this address.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        matches!(self, Self::Network(network) if network.contains(&address))
    }
}

/// A text that is no place.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no host, address or network; write one as api.example.com, *.example.com or 10.0.0.0/8")]
pub struct InvalidPlace(String);

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address.into()));
        }
        let name = text.strip_prefix("*.").unwrap_or(text);
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if !name.split('.').all(is_label) {
            return Err(InvalidPlace(text.to_owned()));
        }
        Ok(Self::Host(text.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        text.parse().expect("a place")
    }

    #[test]
    fn a_place_is_a_name_a_pattern_an_address_or_a_network() {
        assert_eq!(place("*.Example.com"), Place::Host("*.example.com".to_owned()));
        assert_eq!(place("10.0.0.1"), place("10.0.0.1/32"));
        for text in ["", "*", "a..b", "http://example.com", "example.com:80", "*.*.com", "a b"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_star_stands_for_every_name_below_and_not_for_the_name_itself() {
        let below = place("*.shop.test");
        for host in ["eu.shop.test", "a.b.SHOP.test", "eu.shop.test."] {
            assert!(below.names(host), "{host}");
        }
        for host in ["shop.test", "evilshop.test", "eu.shop.test.evil"] {
            assert!(!below.names(host), "{host}");
        }
        assert!(place("10.0.0.0/8").holds(IpAddr::from([10, 1, 2, 3])));
    }
}
