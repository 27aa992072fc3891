//! The events of a storm. Pure: a seed decides which events happen, and how long they last.

use std::time::Duration;

use serde_json::{Value, json};

use crate::random::Random;

/// A program that runs all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    Gateway,
    Agent,
    S3,
}

impl Program {
    pub const ALL: [Program; 3] = [Program::Gateway, Program::Agent, Program::S3];

    pub fn name(self) -> &'static str {
        match self {
            Program::Gateway => "s3up-server",
            Program::Agent => "s3up",
            Program::S3 => "s3up-devstore",
        }
    }
}

/// An event that concerns a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessEvent {
    /// SIGKILL. The program is started again after `down`.
    Kill { program: Program, down: Duration },
    /// SIGTERM, then a start.
    Restart { program: Program },
    /// SIGSTOP, and SIGCONT after `time`.
    Freeze { program: Program, time: Duration },
    /// The gateway reads its configuration again.
    Reload(Reload),
    /// The client key is replaced, first on the gateway, then on the agent.
    RotateKey,
}

/// The configuration that the gateway finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    Same,
    HalfWritten,
    WithoutClients,
    OtherLimits,
}

/// A connection between two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkName {
    AgentToGateway,
    GatewayToS3,
    BtrfsToS3,
}

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    Open,
    /// Bytes per second in each direction of each connection.
    Slow(u64),
    /// Nothing arrives, and no connection ends.
    Silent,
    /// Connections are broken, and new ones are closed at once.
    Cut,
}

/// A disk that can be full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disk {
    Gateway,
    Agent,
}

/// An event that concerns what is between the programs, or below them.
#[derive(Clone, Debug, PartialEq)]
pub enum WorldEvent {
    Link {
        link: LinkName,
        state: LinkState,
        time: Duration,
    },
    /// One call of S3 fails.
    Fault {
        op: &'static str,
        nth: u64,
        fault: Value,
    },
    /// All calls of S3 are slow.
    Network {
        latency_ms: u64,
        time: Duration,
    },
    FullDisk {
        disk: Disk,
        time: Duration,
    },
}

const OPS: [&str; 9] = [
    "PutObject",
    "UploadPart",
    "CreateMultipartUpload",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
    "ListParts",
    "HeadObject",
    "GetObject",
    "ListObjectsV2",
];

pub fn process_event(random: &mut Random) -> ProcessEvent {
    let program = random.pick(&Program::ALL);
    match random.below(20) {
        0..=8 => ProcessEvent::Kill { program, down: random.millis(0, 1500) },
        9..=10 => ProcessEvent::Restart { program },
        11..=14 => ProcessEvent::Freeze { program, time: random.millis(100, 3000) },
        15..=17 => ProcessEvent::Reload(random.pick(&[
            Reload::Same,
            Reload::HalfWritten,
            Reload::WithoutClients,
            Reload::OtherLimits,
        ])),
        _ => ProcessEvent::RotateKey,
    }
}

pub fn world_event(random: &mut Random) -> WorldEvent {
    match random.below(10) {
        0..=3 => WorldEvent::Link {
            link: random.pick(&[
                LinkName::AgentToGateway,
                LinkName::GatewayToS3,
                LinkName::BtrfsToS3,
            ]),
            state: random.pick(&[
                LinkState::Cut,
                LinkState::Silent,
                LinkState::Slow(50_000),
                LinkState::Slow(2_000_000),
            ]),
            time: random.millis(100, 4000),
        },
        4..=6 => WorldEvent::Fault {
            op: random.pick(&OPS),
            nth: 1 + random.below(5),
            fault: fault(random),
        },
        7 => WorldEvent::Network {
            latency_ms: 50 + random.below(500),
            time: random.millis(500, 4000),
        },
        _ => WorldEvent::FullDisk {
            disk: random.pick(&[Disk::Gateway, Disk::Agent]),
            time: random.millis(500, 8000),
        },
    }
}

/// Returns a fault from which every program recovers by itself. No refusal for ever is among them.
fn fault(random: &mut Random) -> Value {
    match random.below(7) {
        0 => json!({"kind": "internal_error"}),
        1 => json!({"kind": "slow_down", "retry_after_seconds": 1}),
        2 => json!({"kind": "lose_answer"}),
        3 => json!({"kind": "late_internal_error"}),
        4 => json!({"kind": "cut_upload", "after_bytes": random.below(100_000)}),
        5 => json!({"kind": "cut_body", "after_bytes": random.below(100_000)}),
        _ => json!({"kind": "flip_byte", "offset": random.below(100)}),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_kind_of_event_happens() {
        let mut random = Random::of(1, "test");
        let kind = |text: String| text.split([' ', '(']).next().unwrap_or_default().to_owned();
        let of_processes: BTreeSet<_> =
            (0..500).map(|_| kind(format!("{:?}", process_event(&mut random)))).collect();
        let of_world: BTreeSet<_> =
            (0..500).map(|_| kind(format!("{:?}", world_event(&mut random)))).collect();

        assert_eq!(
            Vec::from_iter(of_processes),
            ["Freeze", "Kill", "Reload", "Restart", "RotateKey"]
        );
        assert_eq!(Vec::from_iter(of_world), ["Fault", "FullDisk", "Link", "Network"]);
    }
}
