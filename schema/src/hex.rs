//! Lower-case hexadecimal digits, without an allocation: ids are printed for every request and every event.

use std::fmt;

/// `N` hexadecimal digits of a number, the highest first; at most 32 mean anything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hex<const N: usize>([u8; N]);

impl<const N: usize> Hex<N> {
    /// The last `N` digits of `number`.
    #[must_use]
    pub fn of(number: u128) -> Self {
        // bytes and sums, not a table: so the compiler makes many digits at once
        let mut all = [0; 32];
        for (pair, byte) in all.chunks_exact_mut(2).zip(number.to_be_bytes()) {
            pair[0] = digit(byte >> 4);
            pair[1] = digit(byte & 15);
        }
        let mut digits = [b'0'; N];
        let known = N.min(all.len());
        digits[N - known..].copy_from_slice(&all[all.len() - known..]);
        Self(digits)
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }
}

fn digit(value: u8) -> u8 {
    value + if value < 10 { b'0' } else { b'a' - 10 }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_digits_are_those_of_the_standard_library(number: u128) {
            prop_assert_eq!(Hex::<32>::of(number).to_string(), format!("{number:032x}"));
            prop_assert_eq!(Hex::<16>::of(number).to_string(), format!("{:016x}", number as u64));
            prop_assert_eq!(Hex::<34>::of(number).to_string(), format!("{number:034x}"));
        }
    }
}
