//! `check-config`: prints the effective configuration, if the files that it names can be used.

use btrfs_to_s3::config::Config;
use s3up_cli::{Exit, is_open_to_all_users};

use super::print;

pub fn run(config: &Config) -> anyhow::Result<Exit> {
    if let Some(report) = &config.report {
        report.read_key().map_err(|err| Exit::Usage.with(err))?;
        if is_open_to_all_users(&report.key_file) {
            let path = report.key_file.display();
            tracing::warn!(
                event = "key_file_open",
                %path,
                "every user of this host can read or change the client key; run `chmod 600` on it"
            );
        }
    }
    print(&config.summary())
}
