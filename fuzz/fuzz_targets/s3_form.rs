//! A byte for the size of pieces, and a form whose boundary is `x`. Its policy is JSON, and not base64 of it.
#![no_main]

use aerostore_fuzz::cut;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let [size, form @ ..] = input else { return };
    server::fuzzing::s3::form(&cut(form, *size));
});
