//! What is wrong with a configuration: where, what, and the remedy.

use crate::Origin;
use std::fmt;

/// One thing that is wrong, shown as `PLACE: PATH: what is wrong with VALUE; the remedy`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistake {
    /// Where it was said; for what is missing, the file.
    pub origin: Origin,
    /// The key: `weir.topics.orders.partitions`. Empty if the whole file is meant.
    pub path: String,
    /// What is wrong, with the value. Never the value of a secret.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

/// Every mistake of a configuration, in the order of the file: one line each.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, mistake) in self.0.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{mistake}")?;
        }
        Ok(())
    }
}

/// `; did you mean X?` material: the candidate that `name` was probably meant to be.
pub(crate) fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let lower = name.to_lowercase();
    let distance = |c: &str| strsim::osa_distance(&lower, &c.to_lowercase());
    let allowed = (name.chars().count() / 3).max(1);
    let best = candidates.into_iter().map(|c| (distance(c), c)).min_by_key(|(d, _)| *d)?;
    (best.0 <= allowed).then_some(best.1)
}

/// Whether `name` is `candidate` with one letter wrong, missing, too many or swapped with its neighbour.
pub(crate) fn is_a_letter_away(name: &str, candidate: &str) -> bool {
    strsim::osa_distance(&name.to_lowercase(), &candidate.to_lowercase()) <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        assert_eq!(nearest("ordrs", ["emails", "orders"]), Some("orders"));
        assert_eq!(nearest("CPU", ["cpu", "wall"]), Some("cpu"));
        assert_eq!(nearest("colour", ["cpu", "wall"]), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn swapped_neighbours_are_one_letter_away() {
        assert!(is_a_letter_away("appNmae", "appName"));
        assert!(is_a_letter_away("topic", "topics"));
        assert!(!is_a_letter_away("colour", "topics"));
    }
}
