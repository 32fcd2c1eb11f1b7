//! Durations written as Go writes them: `1h30m`, `0s`, `1.5h`, `300ms`.

use std::time::Duration;

use anyhow::{Result, bail};

/// Reads a Go duration; negative ones are refused.
///
/// # Errors
/// When the text is not a number with a unit, as often as wanted.
pub fn parse(text: &str) -> Result<Duration> {
    let invalid = || anyhow::anyhow!("time: invalid duration {text:?}");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(invalid)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let scale = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => bail!("time: unknown unit {unit:?} in duration {text:?}"),
        };
        seconds += number.parse::<f64>().map_err(|_| invalid())? * scale;
        rest = tail;
    }
    if text.is_empty() {
        return Err(invalid());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("1h30m", 5400.0)]
    #[case("0s", 0.0)]
    #[case("0", 0.0)]
    #[case("1.5h", 5400.0)]
    #[case("300ms", 0.3)]
    fn go_durations(#[case] text: &str, #[case] seconds: f64) {
        assert_eq!(parse(text).unwrap(), Duration::from_secs_f64(seconds));
    }

    #[rstest::rstest]
    #[case("")]
    #[case("5")]
    #[case("1d")]
    #[case("h")]
    #[case("-1h")]
    fn what_go_refuses(#[case] text: &str) {
        parse(text).unwrap_err();
    }
}
