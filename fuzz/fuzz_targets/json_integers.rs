//! A document with integers that have a fraction of zeros is parsed as it is, and no other text changes its meaning.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;

// Only this module: the whole gateway would depend on the AWS SDK.
#[path = "../../crates/gateway/src/request/integers.rs"]
#[allow(unreachable_pub, dead_code, reason = "it is public in the gateway, which uses all of it")]
mod integers;

fuzz_target!(|text: &[u8]| {
    let Some(rewritten) = integers::with_integers(text) else { return };
    match (serde_json::from_slice::<Value>(text), serde_json::from_slice::<Value>(&rewritten)) {
        (Ok(before), Ok(after)) => assert!(is_same(&before, &after), "{before} {after}"),
        (Err(_), Err(_)) => {}
        (before, after) => panic!("{before:?} {after:?}"),
    }
    assert_eq!(integers::with_integers(&rewritten), None, "a second time");
});

fn is_same(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Number(before), Value::Number(after)) => {
            let (before, after) = (before.as_f64().unwrap_or(0.0), after.as_f64().unwrap_or(0.0));
            // The parser does not always find the nearest number of one that is written with a fraction.
            (before - after).abs() <= 4.0 * f64::EPSILON * before.abs()
        }
        (Value::Array(before), Value::Array(after)) => {
            before.len() == after.len() && before.iter().zip(after).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(before), Value::Object(after)) => {
            before.len() == after.len()
                && before.iter().zip(after).all(|((a, x), (b, y))| a == b && is_same(x, y))
        }
        (before, after) => before == after,
    }
}
