//! A byte for the size of an object, a value that several headers could have, and headers, one a line.
#![no_main]

use aerostore_fuzz::{headers, line};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let [size, rest @ ..] = input else { return };
    let (value, rest) = line(rest);
    let Ok(value) = std::str::from_utf8(value) else { return };
    server::fuzzing::s3::headers(&headers(rest), value, u64::from(*size));
});
