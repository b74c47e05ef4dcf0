//! Keys: ordinary ones, and ones that break what was not written for bytes.

use rand::{RngExt, rngs::ChaCha8Rng};

/// The key number `number` of a database; different for every number.
pub(super) fn key(random: &mut ChaCha8Rng, number: usize, odd: bool) -> Vec<u8> {
    let plain = format!("key:{number}").into_bytes();
    if !odd {
        return plain;
    }
    if number == 0 {
        return Vec::new();
    }
    let tag = random.random_range(0..8_u8);
    match random.random_range(0..14) {
        0 => [b"nul\0".as_slice(), &plain, b"\0"].concat(),
        1 => [b"line\r\n".as_slice(), &plain, b"\r\n"].concat(),
        2 => [b"\xff\xfe\xc3\x28".as_slice(), &plain].concat(),
        3 => [b"back\\slash\\x00 100%25 %s \"quoted\" 'too' ".as_slice(), &plain].concat(),
        4 => [b"* ? [a-z] $ `".as_slice(), &plain].concat(),
        5 => [b"{}".as_slice(), &plain].concat(),
        6 => [b"}{".as_slice(), &plain].concat(),
        7 => [b"{open ".as_slice(), &plain].concat(),
        8 => [b"{{tag}} ".as_slice(), &plain].concat(),
        9 => [b"{\0}".as_slice(), &plain].concat(),
        10 => [plain.as_slice(), "ü€😀".repeat(random.random_range(200..1500)).as_bytes()].concat(),
        11 | 12 => [format!("{{tag {tag}}}").as_bytes(), &plain].concat(),
        _ => plain,
    }
}
