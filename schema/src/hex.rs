//! Lower-case hexadecimal digits, without an allocation: ids are printed for every request and every event.

use std::fmt;

/// `N` hexadecimal digits of a number, the highest first; at most 32 mean anything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hex<const N: usize>([u8; N]);

impl<const N: usize> Hex<N> {
    /// The last `N` digits of `number`.
    #[must_use]
    pub fn of(mut number: u128) -> Self {
        let mut digits = [b'0'; N];
        for digit in digits.iter_mut().rev() {
            *digit = b"0123456789abcdef"[(number & 15) as usize];
            number >>= 4;
        }
        Self(digits)
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }
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
        }
    }
}
