//! Which hosts and addresses functions may reach.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::{Host, Url};
use weir_schema::Place;

/// What functions may reach. Checked on the very address that is connected to, for every request and every redirect:
/// a name that resolves to something else a moment later gains nothing.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Policy {
    /// Only these; empty: all that is not denied.
    pub allow: Vec<Place>,
    /// None of these, whatever is allowed.
    pub deny: Vec<Place>,
    /// Of the private, loopback, link-local and other addresses that are not the internet's: only these.
    pub private: Vec<IpNet>,
}

/// A place that may not be reached; the text names it, and the key that says so.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Denied(String);

impl Policy {
    /// Every address, private ones too: for development.
    #[must_use]
    pub fn open() -> Self {
        let all = [IpNet::from(IpAddr::from([0; 4])), IpNet::from(IpAddr::from([0; 16]))];
        let private = all.map(|net| IpNet::new(net.addr(), 0).expect("0 is a prefix of every address"));
        Self { private: private.to_vec(), ..Self::default() }
    }

    /// Looks at a URL before anything is resolved or sent.
    ///
    /// # Errors
    /// Its host is denied by name, or is an address that is denied.
    pub fn check_url(&self, url: &Url) -> Result<(), Denied> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.check_address("", address.into()),
            Some(Host::Ipv6(address)) => self.check_address("", address.into()),
            Some(Host::Domain(name)) => self.check_name(name),
            None => Err(Denied(format!("{url} names no host"))),
        }
    }

    fn check_name(&self, name: &str) -> Result<(), Denied> {
        if names(&self.deny, name) {
            return Err(Denied(format!("host {name} is denied (weir.outbound.deny)")));
        }
        let may_be_by_address =
            self.allow.is_empty() || self.allow.iter().any(|place| matches!(place, Place::Network(_)));
        if !may_be_by_address && !names(&self.allow, name) {
            return Err(Denied(format!("host {name} is not among those allowed (weir.outbound.allow)")));
        }
        Ok(())
    }

    /// Looks at an address that is about to be connected to; `name` is the host that resolved to it, empty where
    /// the URL named the address itself.
    ///
    /// # Errors
    /// It is denied.
    pub fn check_address(&self, name: &str, address: IpAddr) -> Result<(), Denied> {
        let address = embedded(address);
        let shown = if name.is_empty() { address.to_string() } else { format!("{name} ({address})") };
        let is_in = |places: &[Place]| places.iter().any(|place| place.holds(address));
        if is_in(&self.deny) || names(&self.deny, name) {
            return Err(Denied(format!("host {shown} is denied (weir.outbound.deny)")));
        }
        if !self.allow.is_empty() && !is_in(&self.allow) && !names(&self.allow, name) {
            return Err(Denied(format!("host {shown} is not among those allowed (weir.outbound.allow)")));
        }
        if !is_of_the_internet(address) && !self.private.iter().any(|net| net.contains(&address)) {
            return Err(Denied(format!(
                "host {shown} has a private, loopback or link-local address (weir.outbound.private)"
            )));
        }
        Ok(())
    }
}

fn names(places: &[Place], name: &str) -> bool {
    places.iter().any(|place| place.names(name))
}

/// The address that is meant: some of IPv6 carry one of IPv4, which a translator on the way connects to.
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match (a, b) {
        // NAT64 and 6to4
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => v4(g, h),
        (0x2002, _) => v4(b, c),
        _ => address.to_canonical(),
    }
}

/// Whether the address is one that anyone on the internet may have: what is not, belongs to this machine, to the
/// networks around it, or to no one.
fn is_of_the_internet(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            let is_protocol = (a, b, c) == (192, 0, 0);
            let is_benchmark = a == 198 && (b == 18 || b == 19);
            let is_local = v4.is_private() || v4.is_loopback() || v4.is_link_local() || a == 0;
            !(is_local || is_shared || is_protocol || is_benchmark || v4.is_documentation() || a >= 224)
        }
        // of IPv6 one eighth has been given out; in it, `2001:db8::/32` is for documentation
        IpAddr::V6(v6) => {
            let [a, b, ..] = v6.segments();
            a & 0xe000 == 0x2000 && (a, b) != (0x2001, 0xdb8) && v6 != Ipv6Addr::UNSPECIFIED
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(texts: &[&str]) -> Vec<Place> {
        texts.iter().map(|text| text.parse().expect("a place")).collect()
    }

    fn reaches(policy: &Policy, url: &str) -> bool {
        policy.check_url(&url.parse().expect("a URL")).is_ok()
    }

    #[test]
    fn addresses_that_are_not_the_internets_are_denied_in_every_spelling() {
        let policy = Policy::default();
        let private = [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "[::1]",
            "[::]",
            "[fe80::1]",
            "[fc00::1]",
            "[ff02::1]",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:7f00:1::]",
            "[2001:db8::1]",
            "[::127.0.0.1]",
        ];
        for host in private {
            assert!(!reaches(&policy, &format!("http://{host}/")), "{host}");
        }
        for host in ["93.184.216.34", "172.32.0.1", "[2606:4700::1111]", "[64:ff9b::5db8:d822]"] {
            assert!(reaches(&policy, &format!("http://{host}/")), "{host}");
        }
    }

    #[test]
    fn a_private_network_that_is_named_can_be_reached_and_no_other() {
        let policy = Policy { private: vec!["10.1.0.0/16".parse().expect("a network")], ..Policy::default() };
        assert!(reaches(&policy, "http://10.1.2.3/"));
        assert!(!reaches(&policy, "http://10.2.2.3/"));
        assert!(policy.check_address("db.internal", IpAddr::from([10, 1, 0, 9])).is_ok());
        assert!(policy.check_address("db.internal", IpAddr::from([10, 2, 0, 9])).is_err());
    }

    #[test]
    fn with_a_list_of_what_is_allowed_nothing_else_can_be_reached() {
        let policy = Policy { allow: places(&["api.example.com", "*.shop.test"]), ..Policy::default() };
        for host in
            ["api.example.com", "API.example.com", "eu.shop.test", "a.b.shop.test", "api.example.com."]
        {
            assert!(reaches(&policy, &format!("https://{host}/")), "{host}");
        }
        for host in
            ["example.com", "shop.test", "evilshop.test", "api.example.com.evil.test", "93.184.216.34"]
        {
            assert!(!reaches(&policy, &format!("https://{host}/")), "{host}");
        }
        let address = IpAddr::from([93, 184, 216, 34]);
        assert!(policy.check_address("api.example.com", address).is_ok());
        assert!(policy.check_address("other.example.com", address).is_err());
    }

    #[test]
    fn an_allowed_name_does_not_open_a_private_network() {
        let policy = Policy { allow: places(&["api.example.com"]), ..Policy::default() };
        assert!(policy.check_address("api.example.com", IpAddr::from([127, 0, 0, 1])).is_err());
    }

    #[test]
    fn an_allowed_network_lets_names_through_until_they_are_resolved() {
        let policy = Policy { allow: places(&["93.184.0.0/16"]), ..Policy::default() };
        assert!(reaches(&policy, "http://example.com/"));
        assert!(policy.check_address("example.com", IpAddr::from([93, 184, 1, 1])).is_ok());
        assert!(policy.check_address("example.com", IpAddr::from([8, 8, 8, 8])).is_err());
    }

    #[test]
    fn what_is_denied_stays_denied_in_development_too() {
        let policy = Policy { deny: places(&["*.evil.test", "10.0.0.0/8"]), ..Policy::open() };
        assert!(reaches(&policy, "http://127.0.0.1/") && reaches(&policy, "http://[::1]/"));
        assert!(!reaches(&policy, "http://www.evil.test/"));
        assert!(policy.check_address("innocent.test", IpAddr::from([10, 9, 9, 9])).is_err());
        assert!(policy.check_address("x.evil.test", IpAddr::from([93, 184, 216, 34])).is_err());
    }
}
