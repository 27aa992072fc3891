//! `POST /backup-report`: the state of the backups of a btrfs host, as btrfs-to-s3 knows it at the end of
//! a run.
//!
//! Each report has the state of all subvolumes, so that the newest one says everything and a lost one is
//! no loss. Ages are measured by the host when it sends the report: its clock may be wrong, but it is the
//! clock that dated the backups. Unknown fields are ignored; another version is refused.

use serde::{Deserialize, Serialize};

use super::body_error::{BodyError, check_count, check_text, check_version};

/// Version of [`BackupReport`].
pub const BACKUP_REPORT_VERSION: u32 = 1;
/// Maximum length of the body: a thousand subvolumes with long errors.
pub const BACKUP_REPORT_BYTES_MAX: u64 = 4 << 20;
/// Maximum number of subvolumes in a report.
pub const SUBVOLUMES_MAX: usize = 1000;

/// The body of `POST /backup-report`: the backups of a btrfs host after a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BackupReport {
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1))]
    pub version: u32,
    pub program: ProgramFacts,
    /// The command that ended: `backup`, `drill` or `verify`.
    pub command: String,
    /// Start of the command, if it still runs: RFC 3339, UTC. A long run sends a report each hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_since: Option<String>,
    /// All subvolumes of the configuration.
    #[cfg_attr(feature = "openapi", schema(max_items = 1000))]
    pub subvolumes: Vec<SubvolumeReport>,
}

/// The program that sends a backup report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProgramFacts {
    pub version: String,
    pub host: String,
}

/// The backups of one subvolume. All times are RFC 3339 in UTC, by the clock of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SubvolumeReport {
    pub name: String,
    /// The last run in which the subvolume was due or failed; absent if the host remembers none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<BackupRun>,
    /// Time at which the host last read the backups in the bucket; absent if it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<String>,
    /// The reason why they could not be read at the end of this run. The facts below are then those of
    /// `observed_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// Time of the newest published backup; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_backup_at: Option<String>,
    /// Its age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_backup_age_seconds: Option<u64>,
    /// Age at which the next backup is overdue by the schedule of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_age_seconds: Option<u64>,
    /// Number of backups that a restore of the newest one reads: a full and its incrementals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_length: Option<u64>,
    /// False if the newest backup, or one that retention keeps, lacks something that a restore needs;
    /// absent if there is no backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restorable: Option<bool>,
    /// The reason why `restorable` is false, or anything else that `btrfs-to-s3 status --check` finds
    /// wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_drill: Option<BackupCheck>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_verify: Option<BackupCheck>,
}

/// A run of `btrfs-to-s3 backup`, for one subvolume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BackupRun {
    pub at: String,
    pub outcome: RunOutcome,
    /// The reason of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    Published,
    NotDue,
    Failed,
    /// A signal ended the run.
    Stopped,
}

/// A drill or a verify of the backups of one subvolume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BackupCheck {
    pub at: String,
    /// The reason of a failure; absent if nothing was wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Time of the last one that found nothing wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good_at: Option<String>,
    /// True for a verify that read every byte.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deep: bool,
}

impl RunOutcome {
    pub const ALL: [RunOutcome; 4] =
        [RunOutcome::Published, RunOutcome::NotDue, RunOutcome::Failed, RunOutcome::Stopped];

    pub fn as_str(self) -> &'static str {
        match self {
            RunOutcome::Published => "published",
            RunOutcome::NotDue => "not_due",
            RunOutcome::Failed => "failed",
            RunOutcome::Stopped => "stopped",
        }
    }
}

impl BackupReport {
    pub fn check(&self) -> Result<(), BodyError> {
        check_version(self.version, BACKUP_REPORT_VERSION)?;
        check_text("program.version", Some(&self.program.version))?;
        check_text("program.host", Some(&self.program.host))?;
        check_text("command", Some(&self.command))?;
        check_text("running_since", self.running_since.as_deref())?;
        check_count("subvolumes", self.subvolumes.len(), SUBVOLUMES_MAX)?;
        self.subvolumes.iter().try_for_each(SubvolumeReport::check)
    }
}

impl SubvolumeReport {
    fn check(&self) -> Result<(), BodyError> {
        check_text("subvolumes[].name", Some(&self.name))?;
        if let Some(run) = &self.last_run {
            check_text("subvolumes[].last_run.at", Some(&run.at))?;
            check_text("subvolumes[].last_run.error", run.error.as_deref())?;
        }
        check_text("subvolumes[].observed_at", self.observed_at.as_deref())?;
        check_text("subvolumes[].unreadable", self.unreadable.as_deref())?;
        check_text("subvolumes[].newest_backup_at", self.newest_backup_at.as_deref())?;
        check_text("subvolumes[].problem", self.problem.as_deref())?;
        for check in [&self.last_drill, &self.last_verify].into_iter().flatten() {
            let texts = [Some(&check.at), check.error.as_ref(), check.last_good_at.as_ref()];
            for text in texts.into_iter().flatten() {
                check_text("subvolumes[].last_drill or last_verify", Some(text))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::body_error::TEXT_BYTES_MAX;
    use super::*;

    const REPORT: &str = r#"{
        "version": 1, "from_the_future": [1],
        "program": {"version": "0.1.0", "host": "nas"}, "command": "backup",
        "subvolumes": [{
            "name": "data", "from_the_future": 1,
            "last_run": {"at": "2026-01-31T02:00:00Z", "outcome": "failed", "error": "no space"},
            "newest_backup_at": "2026-01-24T02:00:00Z", "newest_backup_age_seconds": 604800,
            "chain_length": 3, "restorable": true,
            "last_drill": {"at": "2026-01-01T00:00:00Z"}
        }]
    }"#;

    #[test]
    fn a_backup_report_with_unknown_fields_is_read_and_checked() {
        let report: BackupReport = serde_json::from_str(REPORT).unwrap();

        assert_eq!(report.check(), Ok(()));
        let data = &report.subvolumes[0];
        assert_eq!(data.last_run.as_ref().unwrap().outcome, RunOutcome::Failed);
        assert_eq!((data.chain_length, data.restorable), (Some(3), Some(true)));
        assert_eq!(data.last_drill.as_ref().unwrap().error, None);
        let again: BackupReport =
            serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        assert_eq!(again, report);
    }

    #[test]
    fn a_backup_report_that_breaks_a_rule_is_refused_by_the_name_of_the_field() {
        let good: BackupReport = serde_json::from_str(REPORT).unwrap();
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        let edit = |edit: &dyn Fn(&mut BackupReport)| {
            let mut report = good.clone();
            edit(&mut report);
            report.check().unwrap_err().to_string()
        };
        let one = good.subvolumes[0].clone();
        #[rustfmt::skip]
        let cases = [
            (edit(&|it| it.version = 2),                                  "`version`: expected 1, found 2"),
            (edit(&|it| it.program.host = long.clone()),                  "`program.host`: expected at most 12288 bytes, found 12289"),
            (edit(&|it| it.subvolumes[0].name = long.clone()),            "`subvolumes[].name`: expected at most 12288 bytes, found 12289"),
            (edit(&|it| it.subvolumes[0].problem = Some(long.clone())),   "`subvolumes[].problem`: expected at most 12288 bytes, found 12289"),
            (edit(&|it| it.subvolumes = vec![one.clone(); 1001]),         "`subvolumes`: expected at most 1000 of them, found 1001"),
        ];
        for (message, want) in cases {
            assert_eq!(message, want);
        }
    }

    #[test]
    fn an_outcome_has_the_same_name_in_json_and_in_metrics() {
        for outcome in RunOutcome::ALL {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
    }
}
