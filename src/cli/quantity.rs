//! Numbers with a unit, in runc's syntax.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};

/// Parses a number of bytes: `50M`, `1.5g`, `512KiB`, `4096`. Units are powers of 1024, in upper or lower case, with or
/// without `B` or `iB`.
///
/// # Errors
/// `invalid size: 'X'` and `invalid suffix: 'X'`, which are runc's messages.
pub fn bytes(text: &str) -> Result<i64> {
    let invalid = || anyhow!("invalid size: '{text}'");
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.').ok_or_else(invalid)? + 1;
    let (number, unit) = (&text[..end], text[end..].trim_start_matches(' ').to_ascii_lowercase());
    if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(invalid());
    }
    let power = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit) {
        "" if unit != "ib" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => bail!("invalid suffix: '{unit}'"),
    };
    // A whole number is not computed in floating point, so it stays exact.
    let whole = number.parse::<i64>().ok().and_then(|number| number.checked_mul(1 << (10 * power)));
    if let Some(whole) = whole {
        return Ok(whole);
    }
    let scaled = number.parse::<f64>().map_err(|_| invalid())? * f64::from(power * 10).exp2();
    if scaled >= i64::MAX as f64 {
        bail!("invalid size: '{text}' is more than 8 EiB");
    }
    Ok(scaled as i64)
}

/// Parses a duration in the syntax of Go's `time.ParseDuration`: `5s`, `1m30s`, `1.5h`, `200ms`; `0`.
///
/// # Errors
/// Any other text, a negative duration included.
pub fn duration(text: &str) -> Result<Duration> {
    let invalid = || anyhow!("invalid duration {text:?}");
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanoseconds = 0.0_f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
        let number: f64 = rest[..end].parse().map_err(|_| invalid())?;
        let tail = &rest[end..];
        let length = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let unit = match &tail[..length] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(invalid()),
        };
        nanoseconds += number * unit;
        rest = &tail[length..];
    }
    if nanoseconds > i64::MAX as f64 {
        return Err(invalid());
    }
    Ok(Duration::from_nanos(nanoseconds as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, wanted) in [
            ("4096", 4096),
            ("0", 0),
            ("50M", 52_428_800),
            ("50m", 52_428_800),
            ("50MB", 52_428_800),
            ("50MiB", 52_428_800),
            ("50 M", 52_428_800),
            ("1.5g", 1_610_612_736),
            (".5k", 512),
            ("7b", 7),
            ("9007199254740993", 9_007_199_254_740_993),
        ] {
            assert_eq!(bytes(text).unwrap(), wanted, "{text}");
        }
        for (text, wanted) in [
            ("much", "invalid size: 'much'"),
            ("", "invalid size: ''"),
            ("-5M", "invalid size: '-5M'"),
            ("1e3", "invalid size: '1e3'"),
            ("1.2.3", "invalid size: '1.2.3'"),
            ("5X", "invalid suffix: 'x'"),
            ("5MM", "invalid suffix: 'mm'"),
            ("5iB", "invalid suffix: 'ib'"),
            ("9000P", "invalid size: '9000P' is more than 8 EiB"),
        ] {
            assert_eq!(bytes(text).unwrap_err().to_string(), wanted, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, wanted) in [
            ("5s", 5_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("200ms", 200_000_000),
            ("3µs", 3000),
            ("7ns", 7),
            ("0", 0),
            ("0s", 0),
            ("+1s", 1_000_000_000),
        ] {
            assert_eq!(duration(text).unwrap().as_nanos(), wanted, "{text}");
        }
        for text in ["", "5", "s", "-5s", "5 s", "5d", "1..2s", "5s3", ".s", "9999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
