//! Validated names. A value of one of these types is well-formed; cloning it is one reference count.

use std::fmt;
use std::sync::Arc;

/// Why a name was refused. The text shows the name, what is wrong with it and what is allowed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{kind} {name:?}: {reason}")]
pub struct InvalidName {
    kind: &'static str,
    name: String,
    reason: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `name` and keeps it.
            ///
            /// # Errors
            /// `InvalidName` with the reason and what is allowed.
            pub fn new(name: &str) -> Result<Self, InvalidName> {
                match $check(name) {
                    Ok(()) => Ok(Self(name.into())),
                    Err(reason) => Err(InvalidName { kind: $kind, name: name.to_owned(), reason }),
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;
            fn from_str(name: &str) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                Self::new(&String::deserialize(d)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// A topic: 1 to 200 of `A-Z a-z 0-9 . _ -` (Kafka's rule, less the room for a prefix), not `.` or `..`.
    TopicName, "topic", check_topic
);
name!(
    /// A state table: 1 to 200 of `A-Z a-z 0-9 . _ - /`. Those of functions do not begin with `_weir_`.
    TableName, "table", check_table
);
name!(
    /// A function: its path below `app/` without `.lua`, as `private/index_order`.
    FunctionName, "function", check_function
);
name!(
    /// A consumer group: `TOPIC/NAME`, where NAME is the function's unless the trigger says otherwise.
    GroupName, "group", check_group
);
name!(
    /// An application: 1 to 100 of `A-Z a-z 0-9 . -`. No underscore: it separates app from topic in Kafka.
    AppName, "appName", check_app
);

impl TableName {
    /// What the platform's own tables begin with. Functions can neither read nor write these.
    pub const RESERVED: &'static str = "_weir_";

    /// Whether the platform keeps this table for itself.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.as_str().starts_with(Self::RESERVED)
    }
}

impl GroupName {
    /// The group of a trigger on `topic`, called `name`.
    #[must_use]
    pub fn of_trigger(topic: &TopicName, name: &FunctionName) -> Self {
        Self(format!("{topic}/{name}").into())
    }

    /// Whether it is a replay's, which is over some time: `TOPIC/NAME@replay-…`.
    #[must_use]
    pub fn is_replay(&self) -> bool {
        self.as_str().contains("@replay-")
    }
}

type Check = Result<(), &'static str>;

fn check_chars(name: &str, max: usize, extra: &str, reason: &'static str) -> Check {
    let ok = |c: char| c.is_ascii_alphanumeric() || extra.contains(c);
    if name.is_empty() || name.len() > max || !name.chars().all(ok) { Err(reason) } else { Ok(()) }
}

fn check_topic(name: &str) -> Check {
    const RULE: &str = "a topic has 1 to 200 of A-Z a-z 0-9 . _ - and is not . or ..";
    if matches!(name, "." | "..") {
        return Err(RULE);
    }
    check_chars(name, 200, "._-", RULE)
}

fn check_table(name: &str) -> Check {
    check_chars(name, 200, "._-/", "a table has 1 to 200 of A-Z a-z 0-9 . _ - /")
}

fn check_function(name: &str) -> Check {
    const RULE: &str =
        "a function is a path below app/ without .lua: segments of A-Z a-z 0-9 . _ - between slashes";
    check_chars(name, 200, "._-/", RULE)?;
    if name.split('/').any(|s| matches!(s, "" | "." | "..")) { Err(RULE) } else { Ok(()) }
}

fn check_group(name: &str) -> Check {
    check_chars(name, 401, "._-/:@", "a group has 1 to 401 of A-Z a-z 0-9 . _ - / : @")
}

fn check_app(name: &str) -> Check {
    check_chars(
        name,
        100,
        ".-",
        "an appName has 1 to 100 of A-Z a-z 0-9 . - (no underscore: it separates app and topic in Kafka)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_name_says_what_is_allowed() {
        let error = TopicName::new("or ders").expect_err("a space is no topic");
        assert_eq!(
            error.to_string(),
            r#"topic "or ders": a topic has 1 to 200 of A-Z a-z 0-9 . _ - and is not . or .."#
        );
    }

    #[test]
    fn function_names_cannot_leave_the_app_folder() {
        for bad in ["", "/etc", "../x", "a/../b", "a//b", "a/", "a b", "ü"] {
            assert!(FunctionName::new(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(FunctionName::new("private/index_order").is_ok());
    }

    #[test]
    fn app_names_have_no_underscore() {
        assert!(AppName::new("my_app").is_err());
        assert!(AppName::new("MyApp").is_ok());
    }

    #[test]
    fn reserved_tables_are_told_apart() {
        assert!(TableName::new("_weir_parked").expect("well-formed").is_reserved());
        assert!(!TableName::new("stock").expect("well-formed").is_reserved());
    }
}
