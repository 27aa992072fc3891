//! Prints to stdout what a backup would send now and how much has changed, as a table.

use btrfs_to_s3::estimate::Estimate;
use s3up_cli::table;
use s3up_core::Size;
use s3up_repository::names::BackupKind;
use serde::Serialize;

/// One subvolume in the JSON output.
#[derive(Serialize)]
pub struct EstimateLine {
    #[serde(flatten)]
    pub changed: Estimate,
    /// `null` if the forecast failed, or without root.
    pub forecast: Option<ForecastOf>,
}

/// Forecast of the next backup.
#[derive(Serialize)]
pub struct ForecastOf {
    pub kind: BackupKind,
    /// The snapshot that an incremental is based on.
    pub parent: Option<String>,
    pub bytes: u64,
    /// True if the forecast is an upper limit.
    pub at_most: bool,
}

/// Formats a table of all subvolumes, then what the numbers mean and what was not counted.
pub fn to_table(all: &[EstimateLine]) -> String {
    let header = ["SUBVOLUME", "NEXT BACKUP", "FORECAST", "CHANGED FILES", "SIZE", "OF ALL"];
    let rows = all.iter().map(|line| {
        let EstimateLine { changed, forecast } = line;
        [
            changed.subvolume.clone(),
            forecast.as_ref().map_or_else(dash, |forecast| forecast.kind.to_string()),
            forecast.as_ref().map_or_else(dash, ForecastOf::shown),
            format!("{} of {}", changed.changed_files, changed.files),
            Size(changed.changed_bytes).to_string(),
            Size(changed.bytes).to_string(),
        ]
    });
    let mut text = table(header, rows);
    text.push_str(&all.iter().map(|line| notes(&line.changed)).collect::<String>());
    text.push_str(match all.iter().all(|line| line.forecast.is_none()) {
        true => "\nThere is no forecast: it needs root and a temporary snapshot.\n",
        false => {
            "\nFORECAST: size of the next send stream, based on the last snapshot that this host\n\
             published. `plan --bytes` asks the bucket for the parent as well.\n"
        }
    });
    if let Some(EstimateLine { changed: Estimate { since, .. }, .. }) = all.first() {
        text.push_str(&format!(
            "CHANGED FILES: whole files with a ctime of {since} or later.\nTheir size is not a \
             forecast.\n"
        ));
    }
    text
}

fn dash() -> String {
    "-".to_owned()
}

impl ForecastOf {
    fn shown(&self) -> String {
        let limit = if self.at_most { "<= " } else { "" };
        format!("{limit}{}", Size(self.bytes))
    }
}

fn notes(estimate: &Estimate) -> String {
    let Estimate { subvolume, not_entered, unreadable, .. } = estimate;
    let mut text = String::new();
    if *not_entered > 0 {
        text.push_str(&format!(
            "{subvolume}: nested subvolumes and mounts that are not counted: {not_entered}\n"
        ));
    }
    if *unreadable > 0 {
        text.push_str(&format!("{subvolume}: entries that cannot be read: {unreadable}\n"));
    }
    text
}
