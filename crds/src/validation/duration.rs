//! Durations as Go writes them, such as `24h` and `1h30m`.

use std::time::Duration;

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDurationError {
    /// Numbers and units do not alternate.
    #[error("{0:?}: must be a duration such as 24h, 1h30m or 90s")]
    Malformed(String),
    /// More than about 292 years.
    #[error("{0:?}: must be no longer than 292 years")]
    TooLong(String),
}

const UNITS: [(&str, u128); 8] = [
    // Longer names first, so that the minutes of `ms` are not taken for all of it.
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a duration in the form of Go: numbers with units, `1h30m`, `1.5h`, `300ms`, or a bare `0`.
///
/// Stricter than Go in one thing: nothing negative, as no duration of this API can be.
pub fn parse_go_duration(text: &str) -> Result<Duration, ParseDurationError> {
    let malformed = || ParseDurationError::Malformed(text.to_owned());
    let too_long = || ParseDurationError::TooLong(text.to_owned());
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(malformed());
    }
    let mut nanoseconds: u128 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(malformed());
        }
        let (after, unit) = UNITS
            .iter()
            .find_map(|(name, unit)| Some((after.strip_prefix(name)?, *unit)))
            .ok_or_else(malformed)?;
        // Digits below a nanosecond count for nothing whatever the unit is.
        let fraction: String = fraction.chars().take(18).collect();
        let scale = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| malformed())?);
        nanoseconds = number(whole)
            .and_then(|whole| whole.checked_mul(unit))
            .and_then(|whole| whole.checked_add(number(&fraction)? * unit / scale))
            .and_then(|sum| sum.checked_add(nanoseconds))
            .filter(|sum| *sum <= i64::MAX.unsigned_abs().into())
            .ok_or_else(too_long)?;
        rest = after;
    }
    u64::try_from(nanoseconds)
        .map(Duration::from_nanos)
        .map_err(|_| too_long())
}

fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn number(digits: &str) -> Option<u128> {
    if digits.is_empty() {
        Some(0)
    } else {
        digits.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::parse_go_duration;

    #[rstest]
    #[case("0", 0)]
    #[case("0s", 0)]
    #[case("24h", 86_400_000)]
    #[case("1h30m", 5_400_000)]
    #[case("1.5h", 5_400_000)]
    #[case("2h45m", 9_900_000)]
    #[case("300ms", 300)]
    #[case(".5s", 500)]
    #[case("1.s", 1000)]
    #[case("+1m", 60_000)]
    #[case("1500000us", 1500)]
    fn reads(#[case] text: &str, #[case] milliseconds: u64) {
        assert_eq!(
            parse_go_duration(text),
            Ok(Duration::from_millis(milliseconds))
        );
    }

    #[rstest]
    #[case("")]
    #[case("+")]
    #[case("1")]
    #[case("1d")]
    #[case("-1h")]
    #[case("h")]
    #[case(".s")]
    #[case("1h 30m")]
    #[case("1h;reboot")]
    #[case("24H")]
    #[case("300y")]
    #[case("99999999999h")]
    fn refuses(#[case] text: &str) {
        assert!(parse_go_duration(text).is_err());
    }

    proptest! {
        #[test]
        fn reads_what_it_means(hours in 0_u64..100_000, minutes in 0_u64..60, seconds in 0_u64..60) {
            let text = format!("{hours}h{minutes}m{seconds}s");
            let wanted = Duration::from_secs(hours * 3600 + minutes * 60 + seconds);
            prop_assert_eq!(parse_go_duration(&text), Ok(wanted));
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = parse_go_duration(&text);
        }

        #[test]
        fn never_panics_on_likely_text(text in "[+0-9.nuµmsh]{0,60}") {
            let _ = parse_go_duration(&text);
        }
    }
}
