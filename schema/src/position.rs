//! Positions and durations as users write them: `17`, `earliest`, `latest`, a time, `-2h`.

use crate::{Millis, Offset};
use std::str::FromStr;
use std::time::Duration;

/// A place in a topic, as a user names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Position {
    /// The first event that is kept.
    Earliest,
    /// The tail: the first offset that is not yet written.
    Latest,
    /// This offset, of one partition.
    Offset(Offset),
    /// The first event at or after this time.
    Time(Millis),
    /// The first event at or after this long ago.
    Back(Duration),
}

/// What could not be read as a [`Position`] or a duration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text:?} is no {wanted}")]
pub struct InvalidPosition {
    text: String,
    wanted: &'static str,
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let parsed = match text {
            "earliest" => Some(Self::Earliest),
            "latest" => Some(Self::Latest),
            _ if text.starts_with('-') => parse_duration(&text[1..]).ok().map(Self::Back),
            _ => match text.parse() {
                Ok(offset) => Some(Self::Offset(Offset(offset))),
                Err(_) => Millis::from_rfc3339(text).map(Self::Time),
            },
        };
        parsed.ok_or_else(|| InvalidPosition {
            text: text.to_owned(),
            wanted: "position: write an offset, earliest, latest, an RFC 3339 time, or a duration back as -2h",
        })
    }
}

/// Reads `500ms`, `30s`, `10m`, `24h`, `30d`: a whole number and one unit.
///
/// # Errors
/// Anything else, a number without a unit too (but `0` is zero).
pub fn parse_duration(text: &str) -> Result<Duration, InvalidPosition> {
    let wanted = "duration: write a whole number and ms, s, m, h or d, as 500ms or 30d";
    let invalid = || InvalidPosition { text: text.to_owned(), wanted };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| invalid())?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(invalid()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_read_as_documented() {
        let read = |text: &str| text.parse::<Position>().ok();
        assert_eq!(read("17"), Some(Position::Offset(Offset(17))));
        assert_eq!(read("earliest"), Some(Position::Earliest));
        assert_eq!(read("latest"), Some(Position::Latest));
        assert_eq!(read("-2h"), Some(Position::Back(Duration::from_secs(7200))));
        assert_eq!(read("1970-01-01T00:00:01Z"), Some(Position::Time(Millis(1000))));
        assert_eq!(read("-2"), None);
        assert_eq!(read("soon"), None);
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        for bad in ["", "5", "s", "1.5s", "-1s", "99999999999999999999d", "5 s"] {
            assert!(parse_duration(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
