//! `time`: clocks, dates, zones, durations.

mod layout;

use crate::call::{Call, Done, misuse};
use crate::registry::Registry;
use jiff::civil::DateTime;
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Span, Timestamp, Zoned};
use layout::Layout;
use mlua::{LuaString, Table};
use std::sync::LazyLock;
use std::time::Duration;

/// The zones come with the program, so that all nodes know the same ones.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Layouts that Go names.
const LAYOUTS: [(&str, &str); 8] = [
    ("RFC3339", "2006-01-02T15:04:05Z07:00"),
    ("RFC3339Nano", "2006-01-02T15:04:05.999999999Z07:00"),
    ("RFC1123", "Mon, 02 Jan 2006 15:04:05 MST"),
    ("RFC1123Z", "Mon, 02 Jan 2006 15:04:05 -0700"),
    ("Kitchen", "3:04PM"),
    ("DateTime", "2006-01-02 15:04:05"),
    ("DateOnly", "2006-01-02"),
    ("TimeOnly", "15:04:05"),
];

pub(crate) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    for (name, layout) in LAYOUTS {
        to.set(name, layout)?;
    }
    to.add("now", |call, (): ()| Ok(call.around.now().as_secs() as f64))?;
    to.add("now_ms", |call, (): ()| Ok(call.around.now().as_millis() as f64))?;
    to.add("now_ns", |call, (): ()| Ok(call.around.now().as_nanos() as f64))?;
    to.add("wall", |call, (): ()| Ok(call.around.wall().as_secs_f64()))?;
    to.add_later("sleep", sleep)?;
    to.add("format", |call, (ts, layout, zone): (f64, LuaString, Option<String>)| {
        let text = Layout::of(&layout.to_string_lossy()).format(&zoned(ts, zone.as_deref())?);
        text.map_or_else(misuse, |text| call.text(text))
    })?;
    to.add("parse", |_, (text, layout, zone): (LuaString, LuaString, Option<String>)| {
        let zone = zone_of(zone.as_deref())?;
        let read = Layout::of(&layout.to_string_lossy()).parse(&text.to_string_lossy());
        Ok(read.and_then(|read| seconds_of(&read, zone)))
    })?;
    to.add("strftime", |call, (ts, format, zone): (f64, String, Option<String>)| {
        match strtime::format(&format, &zoned(ts, zone.as_deref())?) {
            Ok(text) => call.text(text),
            Err(error) => misuse(error.to_string()),
        }
    })?;
    to.add("strptime", |_, (text, format, zone): (LuaString, String, Option<String>)| {
        let zone = zone_of(zone.as_deref())?;
        let read = strtime::parse(&format, &*text.as_bytes()).map_err(|error| error.to_string());
        Ok(read.and_then(|read| seconds_of(&read, zone)))
    })?;
    to.add("rfc3339", |_, (ts, zone): (f64, Option<String>)| Ok(rfc3339(&zoned(ts, zone.as_deref())?)))?;
    to.add("parse_rfc3339", |_, text: LuaString| {
        let read = text.to_string_lossy().parse::<Timestamp>();
        Ok(read.map(seconds).map_err(|error| error.to_string()))
    })?;
    to.add("date", |call, (ts, zone): (f64, Option<String>)| date(call, &zoned(ts, zone.as_deref())?))?;
    to.add("of", |_, (fields, zone): (Table, Option<String>)| of(&fields, zone.as_deref()))?;
    to.add("add", |_, (ts, span, zone): (f64, Table, Option<String>)| add(ts, &span, zone.as_deref()))?;
    to.add("duration", |_, text: LuaString| {
        let read = text.to_string_lossy().parse::<SignedDuration>();
        Ok(read.map(|duration| duration.as_secs_f64()).map_err(|error| error.to_string()))
    })?;
    to.add("format_duration", |_, seconds: f64| match SignedDuration::try_from_secs_f64(seconds) {
        Ok(duration) => Ok(format!("{duration:#}")),
        Err(error) => misuse(error.to_string()),
    })
}

/// Waits without keeping anybody else waiting. It counts for the wall time only.
async fn sleep(_: Call, ms: f64) -> Done<()> {
    let Ok(time) = Duration::try_from_secs_f64(ms.max(0.0) / 1000.0) else {
        return misuse(format!("{ms} ms is no time to sleep"));
    };
    tokio::time::sleep(time).await;
    Ok(())
}

fn zone_of(name: Option<&str>) -> Done<TimeZone> {
    let Some(name) = name else { return Ok(TimeZone::UTC) };
    if name.starts_with(['+', '-']) {
        let offset = strtime::parse("%:z", name).ok().and_then(|read| read.offset());
        return offset
            .map_or_else(|| misuse(format!("{name:?} is no offset: write +02:00")), |o| Ok(fixed(o)));
    }
    match ZONES.get(name) {
        Ok(zone) => Ok(zone),
        Err(_) => misuse(format!("there is no zone {name:?}: write one as \"Europe/Berlin\" or \"+02:00\"")),
    }
}

fn fixed(offset: Offset) -> TimeZone {
    offset.to_time_zone()
}

/// The time `ts` seconds after 1970, to the microsecond: a number of Lua holds no more of it.
fn timestamp(ts: f64) -> Done<Timestamp> {
    let micros = (ts.fract() * 1e6).round();
    let made = Timestamp::new(ts.trunc() as i64, (micros * 1e3) as i32);
    made.or_else(|_| misuse(format!("{ts:?} seconds from 1970 are beyond the calendar")))
}

fn zoned(ts: f64, zone: Option<&str>) -> Done<Zoned> {
    Ok(timestamp(ts)?.to_zoned(zone_of(zone)?))
}

fn seconds(time: Timestamp) -> f64 {
    time.as_second() as f64 + f64::from(time.subsec_nanosecond()) / 1e9
}

/// What was read, at its own offset, or else in `zone`.
fn seconds_of(read: &BrokenDownTime, zone: TimeZone) -> Result<f64, String> {
    let time = match read.offset() {
        Some(_) => read.to_timestamp(),
        None => read.to_datetime().and_then(|time| time.to_zoned(zone)).map(|time| time.timestamp()),
    };
    time.map(seconds).map_err(|error| error.to_string())
}

fn rfc3339(time: &Zoned) -> String {
    match time.offset() == Offset::UTC {
        true => time.timestamp().to_string(),
        false => time.timestamp().display_with_offset(time.offset()).to_string(),
    }
}

fn date(call: &Call, time: &Zoned) -> Done<Table> {
    let date = call.lua.create_table()?;
    let fields = [
        ("year", f64::from(time.year())),
        ("month", f64::from(time.month())),
        ("day", f64::from(time.day())),
        ("hour", f64::from(time.hour())),
        ("min", f64::from(time.minute())),
        ("sec", f64::from(time.second())),
        ("ms", f64::from(time.millisecond())),
        // as in os.date: Sunday is 1
        ("wday", f64::from(time.weekday().to_sunday_one_offset())),
        ("yday", f64::from(time.day_of_year())),
        ("offset", f64::from(time.offset().seconds())),
    ];
    for (name, value) in fields {
        date.raw_set(name, value)?;
    }
    let zone = time.time_zone().to_offset_info(time.timestamp());
    date.raw_set("zone", zone.abbreviation())?;
    date.raw_set("isdst", zone.dst().is_dst())?;
    Ok(date)
}

/// The time that a calendar and a clock show.
fn of(fields: &Table, zone: Option<&str>) -> Done<Result<f64, String>> {
    let zone = zone_of(zone)?;
    let field = |name: &str, missing: Option<i64>| match fields.raw_get::<Option<i64>>(name)?.or(missing) {
        Some(n) => Ok(n),
        None => misuse(format!("field {name} is missing")),
    };
    let (year, month, day) = (field("year", None)?, field("month", Some(1))?, field("day", Some(1))?);
    let (hour, minute, second) = (field("hour", Some(0))?, field("min", Some(0))?, field("sec", Some(0))?);
    let made = || {
        let small = |n: i64| i8::try_from(n).ok();
        let year = i16::try_from(year).ok()?;
        let (month, day) = (small(month)?, small(day)?);
        DateTime::new(year, month, day, small(hour)?, small(minute)?, small(second)?, 0).ok()
    };
    let Some(time) = made() else {
        return Ok(Err(format!("there is no {year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")));
    };
    Ok(time.to_zoned(zone).map(|time| seconds(time.timestamp())).map_err(|error| error.to_string()))
}

/// A time moved by months, days, hours … of the zone's calendar.
fn add(ts: f64, units: &Table, zone: Option<&str>) -> Done<f64> {
    let time = zoned(ts, zone)?;
    let mut span = Span::new();
    for pair in units.pairs::<String, i64>() {
        let (unit, n) = pair?;
        let set = match unit.as_str() {
            "years" => span.try_years(n),
            "months" => span.try_months(n),
            "weeks" => span.try_weeks(n),
            "days" => span.try_days(n),
            "hours" => span.try_hours(n),
            "minutes" => span.try_minutes(n),
            "seconds" => span.try_seconds(n),
            "ms" => span.try_milliseconds(n),
            _ => {
                return misuse(format!(
                    "{unit:?} is no unit: years, months, weeks, days, hours, minutes, seconds, ms"
                ));
            }
        };
        span = set.or_else(|error| misuse(error.to_string()))?;
    }
    match time.checked_add(span) {
        Ok(time) => Ok(seconds(time.timestamp())),
        Err(error) => misuse(error.to_string()),
    }
}
