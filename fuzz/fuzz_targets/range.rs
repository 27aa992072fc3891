//! A requested part lies within the file, and its canonical form requests the same
//! part.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Only this module: the whole gateway would depend on the AWS SDK.
#[path = "../../crates/gateway/src/request/range.rs"]
#[allow(unreachable_pub, reason = "it is public in the gateway")]
mod range;

use range::{RequestedRange, parse};

fuzz_target!(|input: (&str, u64)| {
    let (header, size) = input;
    for header in [header.to_owned(), format!("bytes={header}")] {
        let RequestedRange::Part(part) = parse(Some(&header), size) else { continue };
        assert!(part.start < part.end && part.end <= size, "{header:?} of {size}");
        let canonical = format!("bytes={}-{}", part.start, part.end - 1);
        assert_eq!(parse(Some(&canonical), size), RequestedRange::Part(part));
    }
});
