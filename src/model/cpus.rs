//! Numbers of processors: engines count billionths of one, people write decimals.

use std::fmt;
use std::str::FromStr;

/// Billionths of a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NanoCpus(pub u64);

/// Text that is no number of processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no number of processors")]
pub struct NoCpus;

impl NanoCpus {
    /// One processor.
    pub const ONE: u64 = 1_000_000_000;
    /// The most processors that a number may tell.
    const MOST: f64 = 1e6;

    /// A limit; `None` for 0, which is how engines tell that there is none.
    #[must_use]
    pub fn limit(nano_cpus: u64) -> Option<Self> {
        (nano_cpus > 0).then_some(Self(nano_cpus))
    }

    /// A number of processors; `None` where it is less than a billionth of one, or more than any machine has.
    #[must_use]
    pub fn of_number(cpus: f64) -> Option<Self> {
        let cpus = Some(cpus).filter(|cpus| (1e-9..=Self::MOST).contains(cpus))?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let nano_cpus = (cpus * Self::ONE as f64).round() as u64;
        Self::limit(nano_cpus)
    }
}

impl fmt::Display for NanoCpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / Self::ONE, self.0 % Self::ONE);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{}", format!("{rest:09}").trim_end_matches('0'))
    }
}

impl FromStr for NanoCpus {
    type Err = NoCpus;

    fn from_str(text: &str) -> Result<Self, NoCpus> {
        let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let is_sound = !whole.is_empty() && rest.len() <= 9 && is_number(whole) && is_number(rest);
        let part = |text: &str| text.parse::<u64>().map_err(|_| NoCpus);
        let all = part(whole)?.checked_mul(Self::ONE).ok_or(NoCpus)?;
        let all = all.checked_add(part(&format!("{rest:0<9}"))?).ok_or(NoCpus)?;
        if is_sound { Ok(Self(all)) } else { Err(NoCpus) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_processors_read_back_as_they_are_written() {
        for (nano_cpus, text) in [(1, "0.000000001"), (1_500_000_000, "1.5"), (2_000_000_000, "2")] {
            assert_eq!(NanoCpus(nano_cpus).to_string(), text);
            assert_eq!(text.parse(), Ok(NanoCpus(nano_cpus)));
        }
        for text in ["", ".5", "1.", "-1", "+1", "1.0000000001", "1.+5", "99999999999", "x"] {
            assert_eq!(text.parse::<NanoCpus>().is_ok(), text == "1.", "{text}");
        }
        assert_eq!(NanoCpus::of_number(0.25), Some(NanoCpus(250_000_000)));
        assert_eq!([0.0, -1.0, 1e7, f64::NAN].map(NanoCpus::of_number), [None; 4]);
        assert_eq!(NanoCpus::limit(0), None);
    }
}
