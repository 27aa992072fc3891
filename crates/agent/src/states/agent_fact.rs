//! Facts that only the running agent knows. It publishes them in its database for `s3up status`.

use crate::states::drill_record::DrillRecord;
use crate::states::gateway_state::GatewayState;
use crate::states::watcher_state::WatcherState;

const WATCHER: &str = "watcher";
const GATEWAY: &str = "gateway";
const ALIVE_AT: &str = "alive_at";
const DRILL: &str = "drill";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentFact {
    Watcher(WatcherState),
    Gateway(GatewayState),
    /// Time at which the agent recorded that it works, in Unix seconds.
    AliveAt(i64),
    /// The last drill. `s3up drill` records it, not the running agent.
    Drill(DrillRecord),
}

impl AgentFact {
    /// Returns the name and the value that the database holds.
    pub fn to_row(&self) -> (&'static str, String) {
        match self {
            AgentFact::Watcher(state) => (WATCHER, state.to_string()),
            AgentFact::Gateway(state) => {
                (GATEWAY, serde_json::to_string(state).expect("plain data is JSON"))
            }
            AgentFact::AliveAt(at) => (ALIVE_AT, at.to_string()),
            AgentFact::Drill(record) => {
                (DRILL, serde_json::to_string(record).expect("plain data is JSON"))
            }
        }
    }

    /// Parses a row; `None` if another version of the agent wrote it in a form of its own.
    pub fn parse(name: &str, value: &str) -> Option<AgentFact> {
        match name {
            WATCHER => Some(AgentFact::Watcher(WatcherState::parse(value))),
            GATEWAY => serde_json::from_str(value).ok().map(AgentFact::Gateway),
            ALIVE_AT => value.parse().ok().map(AgentFact::AliveAt),
            DRILL => serde_json::from_str(value).ok().map(AgentFact::Drill),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::gateway_state::GatewayStatus;

    #[test]
    fn a_fact_is_read_as_it_was_written() {
        let gateway = GatewayState {
            status: GatewayStatus::Unavailable,
            since: 7,
            reason: Some("x".to_owned()),
        };
        let facts = [
            AgentFact::Watcher(WatcherState::Complete),
            AgentFact::Watcher(WatcherState::Off),
            AgentFact::Watcher(WatcherState::Degraded("degraded: y".to_owned())),
            AgentFact::Gateway(gateway),
            AgentFact::AliveAt(-3),
            AgentFact::Drill(DrillRecord::after(None, 7, (3, 30, 0))),
        ];
        for fact in &facts {
            let (name, value) = fact.to_row();
            assert_eq!(AgentFact::parse(name, &value).as_ref(), Some(fact));
        }
        let older = r#"{"status":"away","since":7,"reason":"x"}"#;
        assert_eq!(AgentFact::parse("gateway", older).as_ref(), Some(&facts[3]));
        for (name, value) in [("gateway", "{}"), ("alive_at", "soon"), ("moon", "full")] {
            assert_eq!(AgentFact::parse(name, value), None, "{name}");
        }
    }
}
