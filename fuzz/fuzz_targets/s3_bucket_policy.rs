//! A document.
#![no_main]

libfuzzer_sys::fuzz_target!(|document: &str| server::fuzzing::s3::bucket_policy(document));
