//! Numbers with their units, as people read them.

use std::time::Duration;

/// Bytes as MB, or as GB from ten thousand MB on.
pub(crate) fn bytes(number: u64) -> String {
    let tenths = number / 100_000;
    match tenths {
        0..100 => format!("{}.{} MB", tenths / 10, tenths % 10),
        100..100_000 => format!("{} MB", grouped(tenths / 10)),
        _ => format!("{}.{} GB", tenths / 10_000, tenths % 10_000 / 1000),
    }
}

/// A number in groups of three digits: `1 000 000`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A duration in seconds with one decimal, or milliseconds below a tenth of a second.
pub(crate) fn duration(duration: Duration) -> String {
    match duration.as_millis() {
        milliseconds @ 0..100 => format!("{milliseconds} ms"),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

/// A large number as people say it: `9 999`, `333 k`, `12.3 M`.
pub(crate) fn short(number: u64) -> String {
    match number {
        0..10_000 => grouped(number),
        10_000..10_000_000 => format!("{} k", grouped(number / 1000)),
        _ => format!("{}.{} M", grouped(number / 1_000_000), number % 1_000_000 / 100_000),
    }
}

/// `1 key`, `9 999 keys`, `333 k keys`.
pub(crate) fn many(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{} {thing}s", short(number)) }
}

/// Whole seconds: `4 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) fn seconds(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `1 slot`, `2 slots`.
pub(crate) fn count(number: impl TryInto<u64>, thing: &str) -> String {
    match number.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {thing}"),
        number => format!("{} {thing}s", grouped(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([grouped(7), grouped(1000), grouped(1_234_567)], ["7", "1 000", "1 234 567"]);
        assert_eq!([bytes(1_560_000), bytes(412_000_000), bytes(12_345_000_000)], ["1.5 MB", "412 MB", "12.3 GB"]);
        assert_eq!([many(9_999, "key"), many(333_412, "key")], ["9 999 keys", "333 k keys"]);
        assert_eq!([many(12_345_678, "key"), many(1, "key")], ["12.3 M keys", "1 key"]);
        assert_eq!([seconds(4), seconds(200), seconds(7500)], ["4 s", "3 min 20 s", "2 h 5 min"]);
        assert_eq!([duration(Duration::from_millis(12)), duration(Duration::from_millis(3210))], ["12 ms", "3.2 s"]);
    }
}
