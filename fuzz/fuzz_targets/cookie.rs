//! A session token is a part of a cookie, without the characters that end it, and a cookie that the gateway sets is
//! read as it was set.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Only this module: the whole gateway would depend on the AWS SDK.
#[path = "../../crates/gateway/src/dashboard/cookie.rs"]
#[allow(unreachable_pub, dead_code, reason = "it is public in the gateway, which uses all of it")]
mod cookie;

fuzz_target!(|input: (Vec<&str>, bool)| {
    let (fields, is_https) = input;
    let Some(token) = cookie::token(fields.iter().copied(), is_https) else { return };
    assert!(fields.iter().any(|field| field.contains(token)));
    assert!(!token.is_empty() && !token.contains(';') && token.trim() == token);
    let set = cookie::set(token, is_https);
    let (pair, _) = set.split_once("; ").expect("its attributes");
    assert_eq!(cookie::token([pair].into_iter(), is_https), Some(token));
});
