//! JUnit's XML, for what shows test results.

use super::suite::{End, Ran};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The report of a run: a suite for each file.
pub(super) fn report(all: &[Ran]) -> String {
    let mut files: BTreeMap<&str, Vec<&Ran>> = BTreeMap::new();
    for ran in all {
        files.entry(&ran.file).or_default().push(ran);
    }
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites");
    counts(&mut xml, &all.iter().collect::<Vec<_>>());
    for (file, tests) in files {
        xml.push_str(&format!("  <testsuite name=\"{}\"", escaped(file)));
        counts(&mut xml, &tests);
        for ran in tests {
            case(&mut xml, ran);
        }
        xml.push_str("  </testsuite>\n");
    }
    xml + "</testsuites>\n"
}

fn counts(xml: &mut String, tests: &[&Ran]) {
    let count = |which: fn(&End) -> bool| tests.iter().filter(|ran| which(&ran.end)).count();
    let failures = count(|end| matches!(end, End::Failed(_)));
    let skipped = count(|end| matches!(end, End::Skipped(_)));
    let time: f64 = tests.iter().map(|ran| ran.took.as_secs_f64()).sum();
    let tests = tests.len();
    writeln!(
        xml,
        " tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"{time:.6}\">"
    )
    .expect("a string takes what is written to it");
}

fn case(xml: &mut String, ran: &Ran) {
    let name = if ran.name.is_empty() { &ran.file } else { &ran.name };
    let (name, file, time) = (escaped(name), escaped(&ran.file), ran.took.as_secs_f64());
    xml.push_str(&format!("    <testcase classname=\"{file}\" name=\"{name}\" time=\"{time:.6}\">\n"));
    match &ran.end {
        End::Passed => {}
        End::Skipped(why) => xml.push_str(&format!("      <skipped message=\"{}\"/>\n", escaped(why))),
        End::Failed(failed) => {
            let first = escaped(failed.message.lines().next().unwrap_or_default());
            let place = failed.place.as_deref().unwrap_or_default();
            let text = escaped(&format!("{place}\n{}\n{}", failed.message, failed.frame));
            xml.push_str(&format!("      <failure message=\"{first}\">{text}</failure>\n"));
        }
    }
    if !ran.output.is_empty() {
        xml.push_str(&format!("      <system-out>{}</system-out>\n", escaped(&ran.output)));
    }
    xml.push_str("    </testcase>\n");
}

/// A text as XML takes it, in an attribute too; what no XML can hold is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            '\u{0}'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => {}
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::suite::Failed;
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_file_is_a_suite_and_what_xml_cannot_hold_is_escaped() {
        let ran = |name: &str, end| Ran {
            file: "test/a.lua".into(),
            name: name.into(),
            end,
            output: String::new(),
            took: Duration::from_millis(5),
        };
        let failed = Failed { message: "1 < 2 & \"x\"\u{1}".into(), ..Failed::default() };
        let all = [
            ran("test_a", End::Passed),
            ran("test_b", End::Failed(failed)),
            ran("", End::Skipped("no".into())),
        ];
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"0.015000\">
  <testsuite name=\"test/a.lua\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"0.015000\">
    <testcase classname=\"test/a.lua\" name=\"test_a\" time=\"0.005000\">
    </testcase>
    <testcase classname=\"test/a.lua\" name=\"test_b\" time=\"0.005000\">
      <failure message=\"1 &lt; 2 &amp; &quot;x&quot;\">
1 &lt; 2 &amp; &quot;x&quot;
</failure>
    </testcase>
    <testcase classname=\"test/a.lua\" name=\"test/a.lua\" time=\"0.005000\">
      <skipped message=\"no\"/>
    </testcase>
  </testsuite>
</testsuites>
";
        assert_eq!(report(&all), expected);
    }
}
