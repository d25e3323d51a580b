//! `${VAR}`, `${VAR:-default}` and `${file:PATH}` in values. `$${` is a literal `${`.

use crate::Input;

/// A value after expansion, or why it has none.
pub(crate) fn expand(text: &str, input: &Input<'_>) -> Result<String, Unexpandable> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            out.push_str(&rest[..start - 1]);
            out.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        out.push_str(&rest[..start]);
        let inner = &rest[start + 2..];
        let Some(end) = inner.find('}') else {
            return Err(Unexpandable::new(
                format!("{:?} has no closing brace", &rest[start..]),
                "write ${NAME}, or $${ for the characters themselves",
            ));
        };
        out.push_str(&reference(&inner[..end], input)?);
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Why a reference has no value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Unexpandable {
    pub(crate) problem: String,
    pub(crate) remedy: String,
}

impl Unexpandable {
    fn new(problem: String, remedy: impl Into<String>) -> Self {
        Self { problem, remedy: remedy.into() }
    }
}

fn reference(inner: &str, input: &Input<'_>) -> Result<String, Unexpandable> {
    if let Some(path) = inner.strip_prefix("file:") {
        return match (input.read_file)(path) {
            // Editors and `echo` end a file with a newline that no secret has.
            Ok(text) => {
                Ok(text.strip_suffix('\n').map_or(text.as_str(), |t| t.trim_end_matches('\r')).to_owned())
            }
            Err(e) => Err(Unexpandable::new(
                format!("${{file:{path}}} cannot be read: {e}"),
                "the path is relative to the project's folder",
            )),
        };
    }
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if !is_variable_name(name) {
        return Err(Unexpandable::new(
            format!("${{{inner}}} names no variable"),
            "write ${NAME}, ${NAME:-default} or ${file:PATH}",
        ));
    }
    match (input.variables.get(name).filter(|v| !v.is_empty()), default) {
        (Some(value), _) => Ok(value.clone()),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Unexpandable::new(
            format!("${{{name}}} is not set in the environment"),
            format!("set {name}, or write ${{{name}:-default}}"),
        )),
    }
}

/// Letters, digits and underscores, no digit first.
pub(crate) fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Project;

    fn expanded(text: &str) -> Result<String, Unexpandable> {
        let project =
            Project::new("").variable("HOST", "db").variable("EMPTY", "").file("secret", "s3cret\n");
        project.with_input(|input| expand(text, &input))
    }

    #[test]
    fn variables_defaults_and_files_are_filled_in() {
        assert_eq!(expanded("pg://${HOST}/${NAME:-shop}"), Ok("pg://db/shop".to_owned()));
        assert_eq!(expanded("${file:secret}"), Ok("s3cret".to_owned()));
        assert_eq!(expanded("${NAME:-}"), Ok(String::new()));
        assert_eq!(expanded("costs $5, $${HOST}"), Ok("costs $5, ${HOST}".to_owned()));
    }

    #[test]
    fn a_variable_that_is_empty_counts_as_not_set() {
        assert_eq!(expanded("${EMPTY:-x}"), Ok("x".to_owned()));
        assert!(expanded("${EMPTY}").is_err());
    }

    #[test]
    fn what_cannot_be_filled_in_says_why() {
        let problem = |text: &str| expanded(text).expect_err("no value").problem;
        assert_eq!(problem("${NAME}"), "${NAME} is not set in the environment");
        assert_eq!(problem("${HOST"), "\"${HOST\" has no closing brace");
        assert_eq!(problem("${a b}"), "${a b} names no variable");
        assert_eq!(problem("${file:nope}"), "${file:nope} cannot be read: entity not found");
    }
}
