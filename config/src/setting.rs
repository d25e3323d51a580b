//! What a value's text may be: one implementation per type, with the words for what is wrong.

use crate::{Origin, Secret};
use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use weir_schema::{AppName, FunctionName, Partitioner, Place, Position, TopicName, parse_duration};

/// Why a text is no value of its kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Wrong {
    pub(crate) problem: String,
    pub(crate) remedy: String,
}

impl Wrong {
    pub(crate) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }
}

/// A type that values of the configuration have.
pub(crate) trait Setting: Sized {
    /// Whether the value may be shown.
    const IS_SECRET: bool = false;
    /// Reads it.
    fn parse(text: &str) -> Result<Self, Wrong>;
}

/// A number of bytes: `64KiB`, `20MB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// For what is counted in memory; more than there can be is all there can be.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
];

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |unit: &&(&str, u64)| self.0 >= unit.1 && self.0.is_multiple_of(unit.1);
        let (unit, bytes) = UNITS.iter().find(fits).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

impl FromStr for ByteSize {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let invalid = || InvalidSize(text.to_owned());
        let number: u64 = number.parse().map_err(|_| invalid())?;
        let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(invalid)?;
        number.checked_mul(*bytes).map(Self).ok_or_else(invalid)
    }
}

/// A text that is no size.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no size; {SIZE_REMEDY}")]
pub struct InvalidSize(String);

const SIZE_REMEDY: &str = "write a whole number and B, KB, MB, GB, KiB, MiB or GiB, as 64KiB";

impl Setting for ByteSize {
    fn parse(text: &str) -> Result<Self, Wrong> {
        match text.parse() {
            Ok(Self(0)) => Err(Wrong::new("0 would allow nothing", SIZE_REMEDY)),
            Ok(size) => Ok(size),
            Err(_) => Err(Wrong::new(format!("{text:?} is no size"), SIZE_REMEDY)),
        }
    }
}

const DURATION_REMEDY: &str = "write a whole number and ms, s, m, h or d, as 500ms or 30d";

impl Setting for Duration {
    fn parse(text: &str) -> Result<Self, Wrong> {
        match parse_duration(text) {
            Ok(Self::ZERO) => Err(Wrong::new("0 is too short", DURATION_REMEDY)),
            Ok(duration) => Ok(duration),
            Err(_) => Err(Wrong::new(format!("{text:?} is no duration"), DURATION_REMEDY)),
        }
    }
}

/// A duration, or the word that says that there is no end.
pub(crate) struct Bounded<const FOREVER: bool>(pub(crate) Option<Duration>);
/// A duration or `forever`.
pub(crate) type Retention = Bounded<true>;
/// A duration or `never`.
pub(crate) type DetachAfter = Bounded<false>;

impl<const FOREVER: bool> Setting for Bounded<FOREVER> {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let word = if FOREVER { "forever" } else { "never" };
        if text == word {
            return Ok(Self(None));
        }
        let or_word = |w: Wrong| Wrong::new(w.problem, format!("{}, or {word}", w.remedy));
        Duration::parse(text).map(|d| Self(Some(d))).map_err(or_word)
    }
}

impl Setting for bool {
    fn parse(text: &str) -> Result<Self, Wrong> {
        // What YAML 1.1, and so Spacer's parser, takes for a truth value.
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Ok(true),
            "false" | "no" | "off" => Ok(false),
            _ => Err(Wrong::new(format!("{text:?} is neither true nor false"), "write true or false")),
        }
    }
}

impl Setting for NonZeroU32 {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let remedy = "write a whole number from 1 to 4294967295";
        text.parse().map_err(|_| Wrong::new(format!("{text:?} is too small, too large or no number"), remedy))
    }
}

impl Setting for u32 {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let remedy = "write a whole number from 0 to 4294967295";
        text.parse().map_err(|_| Wrong::new(format!("{text:?} is too large or no number"), remedy))
    }
}

/// How many partitions a topic has.
pub(crate) struct Partitions(pub(crate) NonZeroU32);

impl Setting for Partitions {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let count = text.parse().ok().filter(|n: &NonZeroU32| n.get() <= 4096);
        let wrong = || {
            Wrong::new(format!("{text:?} is no number of partitions"), "write a whole number from 1 to 4096")
        };
        count.map(Self).ok_or_else(wrong)
    }
}

/// A number from 0 to 1.
pub(crate) struct Ratio(pub(crate) f64);

impl Setting for Ratio {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let number = text.parse().ok().filter(|n| (0.0..=1.0).contains(n));
        let wrong = || Wrong::new(format!("{text:?} is no number from 0 to 1"), "write one, as 0.2");
        number.map(Self).ok_or_else(wrong)
    }
}

impl Setting for String {
    fn parse(text: &str) -> Result<Self, Wrong> {
        Ok(text.to_owned())
    }
}

impl Setting for PathBuf {
    fn parse(text: &str) -> Result<Self, Wrong> {
        if text.is_empty() {
            return Err(Wrong::new("an empty path", "write a folder, as .weir"));
        }
        Ok(Self::from(text))
    }
}

impl Setting for Secret {
    const IS_SECRET: bool = true;
    fn parse(text: &str) -> Result<Self, Wrong> {
        // A token travels in a header: what could not be sent could never match.
        if text.chars().any(|c| !c.is_ascii_graphic()) {
            return Err(Wrong::new(
                "the secret holds a character that no header can carry",
                "use letters, digits and punctuation, without spaces or newlines",
            ));
        }
        Ok(Self::new(text))
    }
}

/// A choice among words.
macro_rules! words {
    ($type:ty: $($word:literal => $value:expr),+) => {
        impl $crate::setting::Setting for $type {
            fn parse(text: &str) -> Result<Self, $crate::setting::Wrong> {
                match text {
                    $($word => Ok($value),)+
                    _ => Err($crate::setting::Wrong::new(format!("{text:?} is none of the choices"), concat!("choose among:" $(, " ", $word)+))),
                }
            }
        }
    };
}
pub(crate) use words;

words!(Partitioner: "murmur2" => Self::Murmur2, "crc32" => Self::Crc32);

macro_rules! names {
    ($($type:ty),+) => {$(
        impl $crate::setting::Setting for $type {
            fn parse(text: &str) -> Result<Self, Wrong> {
                Self::new(text).map_err(|e| Wrong::new(e.to_string(), "give it another name"))
            }
        }
    )+};
}
names!(AppName, TopicName, FunctionName);

impl Setting for Position {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let remedy = "write earliest, latest, an RFC 3339 time, a duration back as -2h, or an offset";
        text.parse().map_err(|_| Wrong::new(format!("{text:?} is no position"), remedy))
    }
}

/// Where to listen: `HOST:PORT` with an IP address, `localhost`, or nothing (all interfaces) for HOST.
impl Setting for SocketAddr {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let wrong = || {
            let remedy = "write HOST:PORT with an IP address or localhost, as 127.0.0.1:3001, or :3001 for all interfaces";
            Wrong::new(format!("{text:?} is no address to listen on"), remedy)
        };
        if let Ok(address) = text.parse() {
            return Ok(address);
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let ip = match host {
            "" => Ipv4Addr::UNSPECIFIED,
            "localhost" => Ipv4Addr::LOCALHOST,
            _ => return Err(wrong()),
        };
        Ok(Self::new(IpAddr::V4(ip), port.parse().map_err(|_| wrong())?))
    }
}

/// An address to listen on, or `""` for off.
pub(crate) struct Optional<T>(pub(crate) Option<T>);

impl<T: Setting> Setting for Optional<T> {
    fn parse(text: &str) -> Result<Self, Wrong> {
        if text.is_empty() { Ok(Self(None)) } else { T::parse(text).map(|value| Self(Some(value))) }
    }
}

/// An `http` or `https` URL.
pub(crate) struct Url {
    pub(crate) text: String,
    pub(crate) port: u16,
}

impl Setting for Url {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let wrong = || {
            Wrong::new(format!("{text:?} is no URL"), "write one with its scheme, as http://localhost:3000")
        };
        let uri: http::Uri = text.parse().map_err(|_| wrong())?;
        let known = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => return Err(wrong()),
        };
        // `http://host:99999` parses as a URI whose port is none; the default must not hide it.
        let authority = uri.authority().map_or("", |a| a.as_str());
        let after_host = authority.rsplit(['@', ']']).next().unwrap_or(authority);
        let port = match (uri.port_u16(), after_host.contains(':')) {
            (Some(port), _) => port,
            (None, false) => known,
            (None, true) => return Err(wrong()),
        };
        Ok(Self { text: text.to_owned(), port })
    }
}

/// An address or a network, as `10.0.0.0/8`.
impl Setting for IpNet {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let address = text.parse::<IpAddr>().map(Self::from);
        let wrong = || {
            Wrong::new(format!("{text:?} is no address or network"), "write one as 10.0.0.1 or 10.0.0.0/8")
        };
        text.parse().or(address).map_err(|_| wrong())
    }
}

/// Hosts by name, or addresses.
impl Setting for Place {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let remedy = "write one as api.example.com, \"*.example.com\" or 10.0.0.0/8";
        text.parse().map_err(|_| Wrong::new(format!("{text:?} is no host, address or network"), remedy))
    }
}

/// The origin of a page that calls: `https://shop.example`, or `*`.
pub(crate) struct WebOrigin(pub(crate) String);

impl Setting for WebOrigin {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let is_origin = |uri: http::Uri| {
            uri.scheme().is_some() && uri.query().is_none() && !text.ends_with('/') && uri.path() == "/"
        };
        if text == "*" || text.parse().is_ok_and(is_origin) {
            return Ok(Self(text.to_owned()));
        }
        Err(Wrong::new(
            format!("{text:?} is no origin"),
            "write scheme and host alone, as https://shop.example, or \"*\"",
        ))
    }
}

impl Setting for http::Method {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let upper = text.chars().all(|c| c.is_ascii_uppercase());
        let wrong = || Wrong::new(format!("{text:?} is no method"), "write it as GET or POST");
        Self::from_bytes(text.as_bytes()).ok().filter(|_| upper).ok_or_else(wrong)
    }
}

impl Setting for http::HeaderName {
    fn parse(text: &str) -> Result<Self, Wrong> {
        text.parse()
            .map_err(|_| Wrong::new(format!("{text:?} is no header name"), "write it as Content-Type"))
    }
}

/// The name of a variable that functions may see.
pub(crate) struct VariableName(pub(crate) String);

impl Setting for VariableName {
    fn parse(text: &str) -> Result<Self, Wrong> {
        if crate::expand::is_variable_name(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Wrong::new(format!("{text:?} names no variable"), "use letters, digits and underscores"))
    }
}

/// A value with the place that said it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Said<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}
