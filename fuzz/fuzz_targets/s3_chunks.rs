//! A byte for the size of pieces, one for what is announced (bit 0: signed; bit 1: a length, in the bits above), the body.
#![no_main]

use aerostore_fuzz::cut;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let [size, announced, body @ ..] = input else { return };
    let length = (announced & 2 != 0).then_some(u64::from(announced >> 2));
    server::fuzzing::s3::chunks(&cut(body, *size), length, announced & 1 != 0);
});
