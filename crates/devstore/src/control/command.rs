//! Parses the commands of the control endpoint: method, path and JSON.

use std::num::NonZeroU64;

use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::faults::{Fault, Op};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    ListUnfired,
    Inject(Inject),
    ClearFaults,
    CountCalls,
    Hold(Hold),
    GetHold(u64),
    AwaitHold(u64),
    ReleaseHold(u64),
    SetNetwork(Network),
    GetClock,
    AdvanceClock(AdvanceClock),
    SetRestoreDelay(RestoreDelay),
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inject {
    pub(super) op: Op,
    pub(super) nth: NonZeroU64,
    pub(super) fault: Fault,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hold {
    /// `None` for any operation.
    pub(super) op: Option<Op>,
    pub(super) nth: NonZeroU64,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Network {
    #[serde(default)]
    pub(super) latency_ms: u64,
    /// `None` for no limit.
    pub(super) bytes_per_second: Option<NonZeroU64>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdvanceClock {
    pub(super) advance_seconds: u64,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RestoreDelay {
    pub(super) delay_seconds: u64,
}

/// Reason why a request is not a command.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("unknown command: `s3up-devstore --help` lists the commands")]
    Unknown,
    #[error("parse the body of the command")]
    Body(#[from] serde_json::Error),
}

pub(super) fn parse(method: &Method, path: &str, body: &[u8]) -> Result<Command, CommandError> {
    let segments: Vec<&str> = path.split('/').collect();
    match (method.as_str(), segments.as_slice()) {
        ("GET", ["faults"]) => Ok(Command::ListUnfired),
        ("POST", ["faults"]) => Ok(Command::Inject(json(body)?)),
        ("DELETE", ["faults"]) => Ok(Command::ClearFaults),
        ("GET", ["calls"]) => Ok(Command::CountCalls),
        ("POST", ["holds"]) => Ok(Command::Hold(json(body)?)),
        ("GET", ["holds", id]) => Ok(Command::GetHold(parse_id(id)?)),
        ("GET", ["holds", id, "reached"]) => Ok(Command::AwaitHold(parse_id(id)?)),
        ("DELETE", ["holds", id]) => Ok(Command::ReleaseHold(parse_id(id)?)),
        ("PUT", ["network"]) => Ok(Command::SetNetwork(json(body)?)),
        ("GET", ["clock"]) => Ok(Command::GetClock),
        ("POST", ["clock"]) => Ok(Command::AdvanceClock(json(body)?)),
        ("PUT", ["restore"]) => Ok(Command::SetRestoreDelay(json(body)?)),
        (_, _) => Err(CommandError::Unknown),
    }
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, CommandError> {
    Ok(serde_json::from_slice(body)?)
}

fn parse_id(text: &str) -> Result<u64, CommandError> {
    text.parse().map_err(|_| CommandError::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_parsed() {
        let nth = |n| NonZeroU64::new(n).unwrap();
        let inject = Inject { op: Op::PutObject, nth: nth(3), fault: Fault::Stall };
        let network = Network { latency_ms: 5, bytes_per_second: NonZeroU64::new(9) };
        let no_limit = Network { latency_ms: 0, bytes_per_second: None };
        #[rustfmt::skip]
        let cases = [
            ("GET",    "faults",          "",  Command::ListUnfired),
            ("POST",   "faults",          r#"{"op":"PutObject","nth":3,"fault":{"kind":"stall"}}"#, Command::Inject(inject)),
            ("DELETE", "faults",          "",  Command::ClearFaults),
            ("GET",    "calls",           "",  Command::CountCalls),
            ("POST",   "holds",           r#"{"nth":2}"#, Command::Hold(Hold { op: None, nth: nth(2) })),
            ("POST",   "holds",           r#"{"nth":2,"op":"GetObject"}"#, Command::Hold(Hold { op: Some(Op::GetObject), nth: nth(2) })),
            ("GET",    "holds/7",         "",  Command::GetHold(7)),
            ("GET",    "holds/7/reached", "",  Command::AwaitHold(7)),
            ("DELETE", "holds/7",         "",  Command::ReleaseHold(7)),
            ("PUT",    "network",         r#"{"latency_ms":5,"bytes_per_second":9}"#, Command::SetNetwork(network)),
            ("PUT",    "network",         "{}", Command::SetNetwork(no_limit)),
            ("GET",    "clock",           "",  Command::GetClock),
            ("POST",   "clock",           r#"{"advance_seconds":60}"#, Command::AdvanceClock(AdvanceClock { advance_seconds: 60 })),
            ("PUT",    "restore",         r#"{"delay_seconds":60}"#, Command::SetRestoreDelay(RestoreDelay { delay_seconds: 60 })),
        ];
        for (method, path, body, want) in cases {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(parse(&method, path, body.as_bytes()).unwrap(), want, "{method} {path}");
        }
    }

    #[test]
    fn requests_that_are_no_command_are_refused() {
        #[rustfmt::skip]
        let cases = [
            (Method::GET,  "",         ""),
            (Method::GET,  "faults/",  ""),
            (Method::PUT,  "faults",   ""),
            (Method::GET,  "holds/x",  ""),
            (Method::POST, "faults",   ""),
            (Method::POST, "faults",   r#"{"op":"PutObject","nth":0,"fault":{"kind":"stall"}}"#),
            (Method::POST, "faults",   r#"{"op":"Nonsense","nth":1,"fault":{"kind":"stall"}}"#),
            (Method::POST, "holds",    r#"{"nth":1,"operation":"PutObject"}"#),
        ];
        for (method, path, body) in cases {
            assert!(parse(&method, path, body.as_bytes()).is_err(), "{method} {path} {body}");
        }
    }
}
