//! Any TOML is refused with one line, or read to a value that comes back.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| s3up_fuzz::check_config("c.toml", " = ", text));
