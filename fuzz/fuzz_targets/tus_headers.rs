//! The name of an upload in a URL, or the text that it is base64 of, and headers, one a line.
#![no_main]

use aerostore_fuzz::{headers, line};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let (name, rest) = line(input);
    let Ok(name) = std::str::from_utf8(name) else { return };
    server::fuzzing::tus::headers(&headers(rest), name);
});
