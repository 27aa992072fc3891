//! Any YAML is refused with a message of one line, or its value survives being
//! written and parsed again.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| s3up_fuzz::check_config("c.yaml", ": ", text));
