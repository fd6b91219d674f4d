/// A number as text, without memory of its own.
pub(crate) struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    #[inline]
    pub(crate) fn new(number: impl Into<u64>) -> Self {
        let mut rest = number.into();
        let mut decimal = Self { digits: [0; 20], start: 20 };
        for digit in decimal.digits.iter_mut().rev() {
            #[allow(clippy::cast_possible_truncation)] // one digit
            {
                *digit = b'0' + (rest % 10) as u8;
            }
            decimal.start -= 1;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        decimal
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_numbers() {
        for number in [0, 7, 10, 4096, 52_428_800, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(Decimal::new(number).as_bytes(), number.to_string().as_bytes());
        }
    }
}
