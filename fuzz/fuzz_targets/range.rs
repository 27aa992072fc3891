//! A part of a file lies within it, and its plain spelling asks for the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The module alone: all of the gateway would bring the AWS SDK with it.
#[path = "../../crates/gateway/src/request/range.rs"]
#[allow(unreachable_pub, reason = "public where it is at home")]
mod range;

use range::{RequestedRange, parse};

fuzz_target!(|input: (&str, u64)| {
    let (header, size) = input;
    for header in [header.to_owned(), format!("bytes={header}")] {
        let RequestedRange::Part(part) = parse(Some(&header), size) else { continue };
        assert!(part.start < part.end && part.end <= size, "{header:?} of {size}");
        let plain = format!("bytes={}-{}", part.start, part.end - 1);
        assert_eq!(parse(Some(&plain), size), RequestedRange::Part(part));
    }
});
