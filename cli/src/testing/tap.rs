//! TAP 13: what `weir test` writes, for people and for programs.

use super::suite::{End, Failed, Ran};

pub(super) fn header(tests: usize) -> String {
    format!("TAP version 13\n1..{tests}")
}

/// Words that are no result.
pub(super) fn comment(text: &str) -> String {
    text.lines().map(|line| format!("# {line}")).collect::<Vec<_>>().join("\n")
}

/// The lines of one test.
pub(super) fn lines(number: usize, ran: &Ran) -> String {
    let name = ran.full_name().replace('#', "\\#");
    match &ran.end {
        End::Passed => format!("ok {number} - {name}"),
        End::Skipped(why) => {
            format!("ok {number} - {name} # SKIP {}", why.replace('\n', " ")).trim_end().to_owned()
        }
        End::Failed(failed) => format!("not ok {number} - {name}\n{}", details(failed, &ran.output)),
    }
}

fn details(failed: &Failed, output: &str) -> String {
    let mut text = String::from("  ---\n");
    block(&mut text, "message", &failed.message);
    if let Some(place) = &failed.place {
        text.push_str(&format!("  at: {place}\n"));
    }
    block(&mut text, "source", &failed.frame);
    if failed.stack.len() > 1 {
        block(&mut text, "stack", &failed.stack.join("\n"));
    }
    block(&mut text, "output", output);
    text + "  ..."
}

/// A text of several lines in YAML.
fn block(out: &mut String, name: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    // a first line that is indented would be taken for the measure of the others
    out.push_str(&format!("  {name}: |2\n"));
    for line in text.lines() {
        out.push_str(format!("    {line}").trim_end());
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ran(end: End) -> Ran {
        let (file, name) = ("test/a.lua".to_owned(), "test_#1".to_owned());
        Ran { file, name, end, output: "seen\n".into(), took: Duration::ZERO }
    }

    #[test]
    fn a_failure_shows_its_message_place_source_and_output() {
        let failed = Failed {
            message: "expected: 1, actual: 2".into(),
            place: Some("test/a.lua:2".into()),
            frame: "  1 | x\n> 2 | y\n".into(),
            stack: vec!["test/a.lua:2".into()],
        };
        let expected = "not ok 3 - test/a.lua: test_\\#1\n  ---\n  message: |2\n    expected: 1, actual: 2\n  at: test/a.lua:2\n  source: |2\n      1 | x\n    > 2 | y\n  output: |2\n    seen\n  ...";
        assert_eq!(lines(3, &ran(End::Failed(failed))), expected);
    }

    #[test]
    fn what_passed_and_what_was_skipped_take_a_line_each() {
        assert_eq!(lines(1, &ran(End::Passed)), "ok 1 - test/a.lua: test_\\#1");
        assert_eq!(
            lines(1, &ran(End::Skipped("no\nnet".into()))),
            "ok 1 - test/a.lua: test_\\#1 # SKIP no net"
        );
    }
}
