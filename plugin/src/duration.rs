//! Durations as people and Go programs write them, and ages as kubectl prints them.
//!
//! jiff reads `1,000s` as one second, and neither `2.5m30s` nor `30m1h`, which Go takes.

use std::time::Duration;

use crds::validation::parse_go_duration;

/// What Go's durations can be, 292 years: nothing that is added to a time overflows.
const LONGEST: Duration = Duration::from_nanos(i64::MAX.unsigned_abs());

/// Reads what kubectl reads, `1h30m`, `90s`, `1.5h` or `500ms`, with days before it, `7d`; a bare
/// number counts seconds.
///
/// # Errors
/// A sentence for the user when the text is no duration.
pub fn parse(text: &str) -> Result<Duration, String> {
    read(text.trim())
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| "must be a duration such as 90s, 5m, 1h30m or 7d".to_owned())
}

fn read(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let (days, rest) = text.split_once('d').unwrap_or(("0", text));
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    if !days.chars().all(is_number) || !text.starts_with(is_number) {
        return None;
    }
    let days = Duration::try_from_secs_f64(days.parse::<f64>().ok()? * 86_400.0).ok()?;
    if rest.is_empty() {
        return Some(days);
    }
    let rest = rest.starts_with(is_number).then_some(rest)?;
    days.checked_add(parse_go_duration(rest).ok()?)
}

/// The same duration for a Go program, which knows no days: `168h0m0s`.
pub fn to_go(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds % 3600 / 60);
    let rest = seconds % 60;
    // What is shorter than a thousandth is none of nothing, which would be for ever.
    let millis = match duration.subsec_millis() {
        0 if seconds == 0 && !duration.is_zero() => 1,
        millis => millis,
    };
    let fraction = if millis == 0 {
        String::new()
    } else {
        format!(".{millis:03}")
    };
    match (hours, minutes) {
        (0, 0) => format!("{rest}{fraction}s"),
        (0, _) => format!("{minutes}m{rest}{fraction}s"),
        _ => format!("{hours}h{minutes}m{rest}{fraction}s"),
    }
}

/// An age in kubectl's style: two units at most, coarser as it grows.
pub fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |big: u64, big_unit: &str, small: u64, small_unit: &str| {
        if small == 0 {
            format!("{big}{big_unit}")
        } else {
            format!("{big}{big_unit}{small}{small_unit}")
        }
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => pair(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        _ => pair(days / 365, "y", days % 365, "d"),
    }
}

/// The age of something that began at `since`; `<unknown>` when that cannot be read.
pub fn age_since(since: Option<&str>, now: jiff::Timestamp) -> String {
    since
        .and_then(|text| text.parse::<jiff::Timestamp>().ok())
        .map_or_else(
            || "<unknown>".to_owned(),
            |start| {
                let passed = now.duration_since(start);
                age(Duration::try_from(passed).unwrap_or_default())
            },
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_days_and_bare_seconds_are_read() {
        for (text, seconds) in [
            ("90s", 90.0),
            ("5m", 300.0),
            ("1h30m", 5400.0),
            ("1.5h", 5400.0),
            ("500ms", 0.5),
            ("7d", 604_800.0),
            ("30", 30.0),
            ("0", 0.0),
            ("0s", 0.0),
            ("1us", 1e-6),
            ("8760h", 31_536_000.0),
            ("1.5d", 129_600.0),
            ("1d12h", 129_600.0),
            ("2.5m30s", 180.0),
            ("30m1h", 5400.0),
        ] {
            let read = parse(text).unwrap().as_secs_f64();
            assert!((read - seconds).abs() < 1e-9, "{text} read as {read}");
        }
    }

    #[test]
    fn what_is_no_duration_is_named() {
        for text in [
            "",
            "h",
            "5x",
            "-5m",
            "5m3",
            "1mo",
            "1e400h",
            "..s",
            "-0s",
            "0s ago",
            "1,000s",
            "P1D",
            "1:30:00",
            "5 m",
            "nand",
            "infd",
            "d",
            "1e3d",
            "1d+5m",
            "1d0x",
            "110000000000000d",
            "9300000000",
            "18446744073709551615",
            "$(reboot)",
        ] {
            assert!(parse(text).unwrap_err().starts_with("must be"), "{text}");
        }
    }

    #[test]
    fn go_reads_what_is_written_for_it() {
        assert_eq!(to_go(parse("7d").unwrap()), "168h0m0s");
        assert_eq!(to_go(parse("90s").unwrap()), "1m30s");
        assert_eq!(to_go(parse("1.5s").unwrap()), "1.500s");
        assert_eq!(to_go(parse("0").unwrap()), "0s");
        assert_eq!(to_go(parse("500us").unwrap()), "0.001s");
    }

    #[test]
    fn ages_look_like_kubectls() {
        for (seconds, text) in [
            (5, "5s"),
            (119, "119s"),
            (125, "2m5s"),
            (600, "10m"),
            (7200, "120m"),
            (10_860, "3h1m"),
            (90_000, "25h"),
            (180_000, "2d2h"),
            (864_000, "10d"),
            (70_000_000, "2y80d"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
    }
}
