//! The stable codes of errors: what a client may decide by. `docs/errors.md` lists them all, and a test holds it
//! complete.

use weir_runtime::FailureKind;

/// What `code` says in `{"error": TEXT, "code": CODE}`. Made here only, so that none is missing from the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ErrorCode(&'static str);

macro_rules! codes {
    ($($name:ident = $text:literal),* $(,)?) => {
        impl ErrorCode {
            $(pub(crate) const $name: Self = Self($text);)*

            /// All but those of failed functions.
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

codes! {
    ALREADY_EXISTS = "already_exists",
    BAD_RESPONSE = "bad_response",
    BODY_BROKEN = "body_broken",
    BODY_NOT_JSON = "body_not_json",
    BODY_TOO_LARGE = "body_too_large",
    CHANGED = "changed",
    CONFLICT = "conflict",
    CORRUPT = "corrupt",
    FORBIDDEN = "forbidden",
    FULL = "full",
    HELD = "held",
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused",
    INVALID = "invalid",
    IN_USE = "in_use",
    MOVED = "moved",
    NOT_FOUND = "not_found",
    NOT_HERE = "not_here",
    NOT_PARKED = "not_parked",
    NOT_YET = "not_yet",
    NO_SERVER = "no_server",
    NO_TOPIC = "no_topic",
    OVER = "over",
    OUTCOME_UNKNOWN = "outcome_unknown",
    REFUSED = "refused",
    REJECTED = "rejected",
    STOPPING = "stopping",
    TOO_LARGE = "too_large",
    TRIMMED = "trimmed",
    UNAUTHORIZED = "unauthorized",
    UNAVAILABLE = "unavailable",
}

impl ErrorCode {
    /// As clients see it.
    pub(crate) const fn as_str(self) -> &'static str {
        self.0
    }
}

impl From<&FailureKind> for ErrorCode {
    fn from(kind: &FailureKind) -> Self {
        Self(kind.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::time::Duration;

    const KINDS: [FailureKind; 14] = [
        FailureKind::NotFound,
        FailureKind::Load,
        FailureKind::Refused,
        FailureKind::Raised,
        FailureKind::Cpu,
        FailureKind::Wall,
        FailureKind::Memory,
        FailureKind::Depth,
        FailureKind::Output,
        FailureKind::Loop,
        FailureKind::Rejected,
        FailureKind::RetryAfter(Duration::ZERO),
        FailureKind::Unavailable,
        FailureKind::Cancelled,
    ];

    /// A kind that is added does not compile here until it stands in `KINDS`, too.
    fn place(kind: &FailureKind) -> usize {
        match kind {
            FailureKind::NotFound => 0,
            FailureKind::Load => 1,
            FailureKind::Refused => 2,
            FailureKind::Raised => 3,
            FailureKind::Cpu => 4,
            FailureKind::Wall => 5,
            FailureKind::Memory => 6,
            FailureKind::Depth => 7,
            FailureKind::Output => 8,
            FailureKind::Loop => 9,
            FailureKind::Rejected => 10,
            FailureKind::RetryAfter(_) => 11,
            FailureKind::Unavailable => 12,
            FailureKind::Cancelled => 13,
        }
    }

    #[test]
    fn the_documentation_lists_every_code_and_no_other() {
        assert!(KINDS.iter().map(place).eq(0..KINDS.len()));
        let ours = ErrorCode::ALL.iter().copied().chain(KINDS.iter().map(ErrorCode::from));
        let ours: BTreeSet<_> = ours.map(ErrorCode::as_str).collect();
        let rows = include_str!("../../docs/errors.md").lines().filter_map(|line| line.strip_prefix("| `"));
        let documented: Vec<_> = rows.filter_map(|row| row.split_once('`')).map(|(code, _)| code).collect();
        let unique: BTreeSet<_> = documented.iter().copied().collect();
        assert_eq!(unique.len(), documented.len(), "a code stands in docs/errors.md twice");
        assert_eq!(unique, ours);
    }
}
