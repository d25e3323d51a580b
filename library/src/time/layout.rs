//! Go's layouts: a time is formatted as `Mon Jan 2 15:04:05 MST 2006` is written.

use jiff::Zoned;
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::Offset;

/// A layout, taken apart.
pub(super) struct Layout<'l>(Vec<Piece<'l>>);

#[derive(Clone, Copy)]
enum Piece<'l> {
    Text(&'l str),
    /// What strftime writes so.
    Field(&'static str),
    Seconds(&'static str),
    /// Parts of a second, with what stands before them; those of nines end before their last zeros.
    Fraction {
        point: char,
        digits: usize,
        is_short: bool,
    },
    /// An offset in this form; `Z` where it is none, if so said.
    Offset {
        form: &'static str,
        or_z: bool,
    },
    Abbreviation,
}

/// What a layout may hold, the longer before what they begin with.
const FIELDS: [(&str, Piece<'static>); 32] = [
    ("January", Piece::Field("%B")),
    ("Jan", Piece::Field("%b")),
    ("Monday", Piece::Field("%A")),
    ("Mon", Piece::Field("%a")),
    ("MST", Piece::Abbreviation),
    ("002", Piece::Field("%j")),
    ("01", Piece::Field("%m")),
    ("02", Piece::Field("%d")),
    ("03", Piece::Field("%I")),
    ("04", Piece::Field("%M")),
    ("05", Piece::Seconds("%S")),
    ("06", Piece::Field("%y")),
    ("2006", Piece::Field("%Y")),
    ("15", Piece::Field("%H")),
    ("1", Piece::Field("%-m")),
    ("_2", Piece::Field("%e")),
    ("2", Piece::Field("%-d")),
    ("3", Piece::Field("%-I")),
    ("4", Piece::Field("%-M")),
    ("5", Piece::Seconds("%-S")),
    ("PM", Piece::Field("%p")),
    ("pm", Piece::Field("%P")),
    ("Z07:00:00", Piece::Offset { form: "%::z", or_z: true }),
    ("Z07:00", Piece::Offset { form: "%:z", or_z: true }),
    ("Z0700", Piece::Offset { form: "%z", or_z: true }),
    ("Z07", Piece::Offset { form: "%:::z", or_z: true }),
    ("-07:00:00", Piece::Offset { form: "%::z", or_z: false }),
    ("-07:00", Piece::Offset { form: "%:z", or_z: false }),
    ("-0700", Piece::Offset { form: "%z", or_z: false }),
    ("-07", Piece::Offset { form: "%:::z", or_z: false }),
    ("_2006", Piece::Text("_")),
    ("__2", Piece::Field("%_3j")),
];

impl<'l> Layout<'l> {
    pub(super) fn of(layout: &'l str) -> Self {
        let mut pieces = Vec::new();
        let (mut text, mut rest) = (0, layout);
        while !rest.is_empty() {
            let at = layout.len() - rest.len();
            let found = fraction(rest, pieces.last(), text == at).or_else(|| field(rest));
            let Some((length, piece)) = found else {
                rest = &rest[rest.chars().next().map_or(1, char::len_utf8)..];
                continue;
            };
            if text < at {
                pieces.push(Piece::Text(&layout[text..at]));
            }
            pieces.push(piece);
            rest = &rest[length..];
            text = at + length;
        }
        if text < layout.len() {
            pieces.push(Piece::Text(&layout[text..]));
        }
        Self(pieces)
    }

    pub(super) fn format(&self, time: &Zoned) -> Result<String, String> {
        let mut out = String::new();
        for piece in &self.0 {
            let form = match *piece {
                Piece::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Piece::Fraction { point, digits, is_short } => {
                    out.push_str(&fraction_of(time, point, digits, is_short));
                    continue;
                }
                Piece::Offset { or_z: true, .. } if time.offset() == Offset::UTC => {
                    out.push('Z');
                    continue;
                }
                Piece::Field(form) | Piece::Seconds(form) | Piece::Offset { form, .. } => form,
                Piece::Abbreviation => "%Z",
            };
            out.push_str(&strtime::format(form, time).map_err(|error| error.to_string())?);
        }
        Ok(out)
    }

    /// Reads a text; what does not stand in it is not set.
    pub(super) fn parse(&self, text: &str) -> Result<BrokenDownTime, String> {
        // an offset may be written as Z, a zone without one is the calendar's own
        let form = |z: bool| {
            let mut form = String::new();
            for (n, piece) in self.0.iter().enumerate() {
                match piece {
                    Piece::Text(text) => form.push_str(&text.replace('%', "%%")),
                    Piece::Field(field) => form.push_str(field),
                    Piece::Seconds(field) => {
                        form.push_str(field);
                        // as in Go, parts of a second are read without being asked for
                        if !matches!(self.0.get(n + 1), Some(Piece::Fraction { .. })) {
                            form.push_str("%.f");
                        }
                    }
                    Piece::Fraction { .. } => form.push_str("%.f"),
                    Piece::Offset { or_z: true, .. } if z => form.push('Z'),
                    Piece::Offset { form: offset, .. } => form.push_str(offset),
                    Piece::Abbreviation => form.push_str(if z { "UTC" } else { "GMT" }),
                }
            }
            form
        };
        let mut read = strtime::parse(form(false), text).or_else(|error| {
            // the first error is the one that tells what is wrong
            strtime::parse(form(true), text).map_err(|_| error.to_string())
        })?;
        let has_zone = |piece: &Piece<'_>| matches!(piece, Piece::Offset { .. } | Piece::Abbreviation);
        if read.offset().is_none() && self.0.iter().any(has_zone) {
            read.set_offset(Some(Offset::UTC));
        }
        Ok(read)
    }
}

/// The longest field that the text begins with, and its length.
fn field(text: &str) -> Option<(usize, Piece<'static>)> {
    let found = FIELDS.iter().filter(|(name, _)| text.starts_with(name));
    let (name, piece) = found.max_by_key(|(name, _)| name.len())?;
    // "Janet" names no month
    let is_word = matches!(*name, "Jan" | "Mon") && text[3..].starts_with(|c: char| c.is_ascii_lowercase());
    // the blank of `_2006` is text, and the year a field of its own
    let length = if *name == "_2006" { 1 } else { name.len() };
    (!is_word).then_some((length, *piece))
}

/// `.000` or `,999` behind the seconds.
fn fraction(text: &str, before: Option<&Piece<'_>>, is_next: bool) -> Option<(usize, Piece<'static>)> {
    let point = text.chars().next().filter(|c| matches!(c, '.' | ','))?;
    let digit = text[1..].chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let digits = text[1..].chars().take_while(|c| *c == digit).count();
    let is_end = !text[1 + digits..].starts_with(|c: char| c.is_ascii_digit());
    let follows = is_next && matches!(before, Some(Piece::Seconds(_)));
    let piece = Piece::Fraction { point, digits: digits.min(9), is_short: digit == '9' };
    (is_end && (follows || digit == '0')).then_some((1 + digits, piece))
}

fn fraction_of(time: &Zoned, point: char, digits: usize, is_short: bool) -> String {
    let all = format!("{:09}", time.subsec_nanosecond());
    let kept = &all[..digits];
    let kept = if is_short { kept.trim_end_matches('0') } else { kept };
    if kept.is_empty() { String::new() } else { format!("{point}{kept}") }
}
