//! `POST /heartbeat` and `POST /report`: what an agent says of itself.
//!
//! Both carry `version: 1`. Unknown fields are ignored, so a newer agent may add some. Another
//! version is refused. Texts and lists have limits, because the gateway stores them.
//!
//! The clock of a host may be wrong. So the host also sends how old things are, and the gateway judges by
//! these ages alone: it subtracts them from the time at which a heartbeat arrived.

use serde::{Deserialize, Serialize};

use super::body_error::{BodyError, check_count, check_text, check_version};

/// Version of [`Heartbeat`] and [`Report`].
pub const FLEET_VERSION: u32 = 1;
/// Maximum length of the body of a heartbeat, many times of what one needs.
pub const HEARTBEAT_BYTES_MAX: u64 = 64 << 10;
/// Maximum length of the body of a report: a thousand problems with long paths.
pub const REPORT_BYTES_MAX: u64 = 4 << 20;
/// Maximum number of watches in a heartbeat. [`Watches::total`] counts all of them.
pub const WATCHES_MAX: usize = 100;
/// Maximum number of problems in a report. [`FileTotals::problems`] counts all of them.
pub const PROBLEMS_MAX: usize = 1000;

/// The body of `POST /heartbeat`: the state of an agent, each minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Heartbeat {
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1))]
    pub version: u32,
    pub agent: AgentFacts,
    pub files: FileTotals,
    /// Age of the oldest pending file; absent if none is pending.
    #[serde(default)]
    pub oldest_pending_seconds: Option<u64>,
    /// End of the last complete scan of all watches: RFC 3339, UTC.
    #[serde(default)]
    pub last_scan_at: Option<String>,
    /// Time since the end of that scan, as the host measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scan_age_seconds: Option<u64>,
    /// Time since the start of the agent, as the host measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_seconds: Option<u64>,
    pub watcher: Watcher,
    /// The first watch that could not be scanned, and why; absent if there is none. The files of such
    /// a watch are in no total.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch_error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_drill: Option<Drill>,
    /// Absent in the heartbeats of older agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watches: Option<Watches>,
}

/// The body of `POST /report`: the day of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Report {
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1))]
    pub version: u32,
    /// The day in UTC, `2026-01-31`. A second report of a day replaces the first.
    #[cfg_attr(feature = "openapi", schema(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub day: String,
    pub agent: AgentFacts,
    /// The files at the end of the day.
    pub files: FileTotals,
    /// Files and bytes that were uploaded on this day.
    pub uploaded: Total,
    #[serde(default)]
    pub oldest_pending_seconds: Option<u64>,
    #[serde(default)]
    pub last_scan_at: Option<String>,
    pub watcher: Watcher,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_drill: Option<Drill>,
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 1000))]
    pub problems: Vec<ReportedProblem>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentFacts {
    /// Version of the program.
    pub version: String,
    pub host: String,
    /// RFC 3339, UTC.
    pub started_at: String,
}

/// The five states of a file. Each file is in exactly one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FileTotals {
    pub protected: Total,
    pub pending: Total,
    pub baseline: Total,
    pub excluded: Total,
    pub problems: Total,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Total {
    pub files: u64,
    pub bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Watcher {
    /// `ok`, `degraded`, or `off` if the agent only scanned (`s3up scan`).
    pub state: String,
    #[serde(default)]
    pub detail: Option<String>,
}

/// The watches of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Watches {
    /// Number of all of them.
    pub total: u64,
    /// Those that fit into a heartbeat, the ones that could not be scanned first.
    #[cfg_attr(feature = "openapi", schema(max_items = 100))]
    pub list: Vec<WatchFacts>,
}

/// One watch of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WatchFacts {
    /// The directory on the host.
    pub path: String,
    /// The remote prefix.
    pub prefix: String,
    pub recursive: bool,
    /// `events`, or `scans` if scans alone find its changes (`poll: true`).
    pub mode: String,
    pub files: FileTotals,
    /// Time since the end of the last complete scan, as the host measured it; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scan_age_seconds: Option<u64>,
    /// The reason why it could not be scanned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The last drill of a host: files that were restored and compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Drill {
    /// RFC 3339, UTC.
    pub at: String,
    /// Time since then, as the host measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
    pub files: u64,
    pub bytes: u64,
    pub failed: u64,
    /// Time of the last drill in which no file failed.
    #[serde(default)]
    pub last_good_at: Option<String>,
    /// Time since then, as the host measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good_age_seconds: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportedProblem {
    /// Path on the host, escaped as in the agent's database.
    pub path: String,
    pub reason: String,
    /// RFC 3339, UTC.
    #[serde(default)]
    pub since: Option<String>,
}

/// The 200 response to both calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Accepted {
    pub success: bool,
}

impl Heartbeat {
    pub fn check(&self) -> Result<(), BodyError> {
        check_version(self.version, FLEET_VERSION)?;
        check_agent(&self.agent)?;
        check_text("watch_error", self.watch_error.as_deref())?;
        if let Some(watches) = &self.watches {
            check_count("watches.list", watches.list.len(), WATCHES_MAX)?;
            watches.list.iter().try_for_each(WatchFacts::check)?;
        }
        check_common(self.last_scan_at.as_deref(), &self.watcher, self.last_drill.as_ref())
    }
}

impl WatchFacts {
    fn check(&self) -> Result<(), BodyError> {
        check_text("watches.list[].path", Some(&self.path))?;
        check_text("watches.list[].prefix", Some(&self.prefix))?;
        check_text("watches.list[].mode", Some(&self.mode))?;
        check_text("watches.list[].error", self.error.as_deref())
    }
}

impl Report {
    /// Checks everything but the day, for which a calendar is needed.
    pub fn check(&self) -> Result<(), BodyError> {
        check_version(self.version, FLEET_VERSION)?;
        check_agent(&self.agent)?;
        check_common(self.last_scan_at.as_deref(), &self.watcher, self.last_drill.as_ref())?;
        check_count("problems", self.problems.len(), PROBLEMS_MAX)?;
        for problem in &self.problems {
            check_text("problems[].path", Some(&problem.path))?;
            check_text("problems[].reason", Some(&problem.reason))?;
            check_text("problems[].since", problem.since.as_deref())?;
        }
        Ok(())
    }
}

fn check_agent(agent: &AgentFacts) -> Result<(), BodyError> {
    check_text("agent.version", Some(&agent.version))?;
    check_text("agent.host", Some(&agent.host))?;
    check_text("agent.started_at", Some(&agent.started_at))
}

fn check_common(
    last_scan_at: Option<&str>,
    watcher: &Watcher,
    last_drill: Option<&Drill>,
) -> Result<(), BodyError> {
    if let Some(drill) = last_drill {
        check_text("last_drill.at", Some(&drill.at))?;
        check_text("last_drill.last_good_at", drill.last_good_at.as_deref())?;
    }
    check_text("last_scan_at", last_scan_at)?;
    check_text("watcher.state", Some(&watcher.state))?;
    check_text("watcher.detail", watcher.detail.as_deref())
}

#[cfg(test)]
mod tests {
    use super::super::body_error::TEXT_BYTES_MAX;
    use super::*;

    const REPORT: &str = r#"{
        "version": 1, "day": "2026-01-31", "from_the_future": [1],
        "agent": {"version": "0.1.0", "host": "web1", "started_at": "2026-01-01T00:00:00Z"},
        "files": {
            "protected": {"files": 3, "bytes": 30}, "pending": {"files": 0, "bytes": 0},
            "baseline": {"files": 0, "bytes": 0}, "excluded": {"files": 1, "bytes": 5},
            "problems": {"files": 1, "bytes": 7}
        },
        "uploaded": {"files": 2, "bytes": 20},
        "watcher": {"state": "ok"},
        "problems": [{"path": "/srv/a", "reason": "never settled"}]
    }"#;

    #[test]
    fn a_report_with_unknown_fields_is_read_and_checked() {
        let report: Report = serde_json::from_str(REPORT).unwrap();

        assert_eq!(report.check(), Ok(()));
        assert_eq!(report.files.protected, Total { files: 3, bytes: 30 });
        assert_eq!(report.oldest_pending_seconds, None);
        assert_eq!(report.problems[0].reason, "never settled");
    }

    #[test]
    fn a_report_that_breaks_a_rule_is_refused_by_the_name_of_the_field() {
        let good: Report = serde_json::from_str(REPORT).unwrap();
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        let edit = |edit: &dyn Fn(&mut Report)| {
            let mut report = good.clone();
            edit(&mut report);
            report.check().unwrap_err().to_string()
        };
        let many = good.problems[0].clone();
        #[rustfmt::skip]
        let cases = [
            (edit(&|it| it.version = 2),                         "`version`: expected 1, found 2"),
            (edit(&|it| it.agent.host = long.clone()),           "`agent.host`: expected at most 12288 bytes, found 12289"),
            (edit(&|it| it.watcher.detail = Some(long.clone())), "`watcher.detail`: expected at most 12288 bytes, found 12289"),
            (edit(&|it| it.problems[0].reason = long.clone()),   "`problems[].reason`: expected at most 12288 bytes, found 12289"),
            (edit(&|it| it.problems = vec![many.clone(); 1001]), "`problems`: expected at most 1000 of them, found 1001"),
        ];
        for (message, want) in cases {
            assert_eq!(message, want);
        }
    }

    #[test]
    fn a_heartbeat_of_another_version_is_refused() {
        let report: Report = serde_json::from_str(REPORT).unwrap();
        let Report { agent, files, watcher, .. } = report;
        let (oldest_pending_seconds, last_scan_at) = (Some(7), None);
        let mut heartbeat = Heartbeat {
            version: 1,
            agent,
            files,
            oldest_pending_seconds,
            last_scan_at,
            last_scan_age_seconds: None,
            running_seconds: None,
            watcher,
            watch_error: None,
            last_drill: None,
            watches: None,
        };
        assert_eq!(heartbeat.check(), Ok(()));
        heartbeat.watch_error = Some("x".repeat(TEXT_BYTES_MAX + 1));
        let too_long = BodyError::TextTooLong { field: "watch_error", found: TEXT_BYTES_MAX + 1 };
        assert_eq!(heartbeat.check(), Err(too_long));
        heartbeat.watch_error = None;
        let watch = r#"{"path":"/srv","prefix":"srv/","recursive":true,"mode":"events","files":FILES,"new":1}"#;
        let files = serde_json::to_string(&heartbeat.files).unwrap();
        let watch: WatchFacts = serde_json::from_str(&watch.replace("FILES", &files)).unwrap();
        heartbeat.watches = Some(Watches { total: 500, list: vec![watch.clone(); WATCHES_MAX] });
        assert_eq!(heartbeat.check(), Ok(()));
        heartbeat.watches = Some(Watches { total: 101, list: vec![watch; WATCHES_MAX + 1] });
        let too_many = BodyError::TooMany { field: "watches.list", at_most: 100, found: 101 };
        assert_eq!(heartbeat.check(), Err(too_many));
        heartbeat.watches = None;
        heartbeat.version = 0;
        assert_eq!(heartbeat.check(), Err(BodyError::Version { expected: 1, found: 0 }));
    }
}
