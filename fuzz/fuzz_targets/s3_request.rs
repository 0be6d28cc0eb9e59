//! `SIGNED TARGET`, the host, and headers, one a line.
#![no_main]

use aerostore_fuzz::{headers, line};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let (target, rest) = line(input);
    let (host, rest) = line(rest);
    let (Ok(target), Ok(host)) = (std::str::from_utf8(target), std::str::from_utf8(host)) else { return };
    let (signed, target) = target.split_once(' ').unwrap_or(("", target));
    server::fuzzing::s3::request(target, host, &headers(rest), signed == "s");
});
