//! A first configuration file with comments, from the answers of `init`. Pure: the same answers give the
//! same text.

use std::path::{Path, PathBuf};

use s3up_cli::init::quoted;

/// The answers of `init`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstConfig {
    pub subvolumes: Vec<String>,
    pub base_dir: String,
    pub bucket: String,
    pub region: String,
    pub prefix: String,
    /// `None` for AWS.
    pub endpoint: Option<String>,
    pub storage_class: String,
}

/// Returns the storage class of chunks that `init` proposes. Other servers than AWS rarely archive.
pub fn proposed_class(endpoint: Option<&str>) -> &'static str {
    if endpoint.is_some() { "STANDARD" } else { "DEEP_ARCHIVE" }
}

/// Returns the snapshot directory that `init` proposes: beside the first subvolume, because it must be
/// on the same filesystem.
pub fn proposed_base_dir(subvolumes: &[String]) -> PathBuf {
    let first = subvolumes.first().map_or(Path::new("/"), Path::new);
    first.parent().unwrap_or(Path::new("/")).join("snapshots")
}

impl FirstConfig {
    /// Returns the text of the file.
    pub fn text(&self) -> String {
        let paths: Vec<_> = self.subvolumes.iter().map(|path| quoted(path)).collect();
        let endpoint = match &self.endpoint {
            Some(endpoint) => format!(
                "endpoint = {}\n# Encryption by the server: \"AES256\", if `doctor` says that it \
                 encrypts.\nsse = \"none\"\n",
                quoted(endpoint)
            ),
            None => "# Without an endpoint, requests go to AWS.\n# endpoint = \"https://s3.example.org\"\n"
                .to_owned(),
        };
        format!(
            "# Configuration of btrfs-to-s3, written by `btrfs-to-s3 init`. docs/configuration.md\n\
             # describes all keys. S3 credentials are not in this file: AWS_ACCESS_KEY_ID and\n\
             # AWS_SECRET_ACCESS_KEY come from the environment, or from a profile or a role.\n\
             \n\
             [subvolumes]\n\
             # A subvolume inside another one is not part of its backup: name each.\n\
             paths = [{paths}]\n\
             \n\
             [snapshots]\n\
             # On the filesystem of the subvolumes.\n\
             base_dir = {base_dir}\n\
             # Number of local snapshots of each subvolume. The newest is the parent of the next backup.\n\
             retain = 2\n\
             \n\
             [s3]\n\
             bucket = {bucket}\n\
             region = {region}\n\
             # Leading part of all keys. Each host needs its own.\n\
             prefix = {prefix}\n\
             {endpoint}\
             # Objects in GLACIER and DEEP_ARCHIVE cost little, and have to be thawed before a restore:\n\
             # hours to two days.\n\
             storage_class_chunks = {class}\n\
             \n\
             [schedule]\n\
             # The timer runs each hour; these keys decide what is due.\n\
             full_every_days = 180\n\
             incremental_every_days = 7\n\
             run_at = \"02:00\"\n\
             \n\
             [retention]\n\
             # Backups of the last 30 days stay. `off` leaves deletions to `prune`, for example because\n\
             # the credentials of this host may not delete.\n\
             keep_days = 30\n\
             prune = \"auto\"\n\
             \n\
             # A dead man's switch, which alerts you when no message arrives.\n\
             # [notify]\n\
             # url = \"https://monitor.example.org/ping/...\"\n\
             \n\
             # A directory with room for the streams of a chain, for the monthly drill.\n\
             # [drill]\n\
             # scratch_dir = \"/srv/drill\"\n",
            paths = paths.join(", "),
            base_dir = quoted(&self.base_dir),
            bucket = quoted(&self.bucket),
            region = quoted(&self.region),
            prefix = quoted(&self.prefix),
            class = quoted(&self.storage_class),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn answers() -> FirstConfig {
        FirstConfig {
            subvolumes: vec!["/srv/data".to_owned(), "/srv/my \"home\"".to_owned()],
            base_dir: "/srv/snapshots".to_owned(),
            bucket: "backups".to_owned(),
            region: "eu-central-1".to_owned(),
            prefix: "nas/${HOST}".to_owned(),
            endpoint: None,
            storage_class: "DEEP_ARCHIVE".to_owned(),
        }
    }

    #[test]
    fn the_file_is_valid_and_has_the_answers() {
        for endpoint in [None, Some("https://s3.example.org".to_owned())] {
            let answers = FirstConfig { endpoint: endpoint.clone(), ..answers() };

            let config = Config::parse(&answers.text()).unwrap();

            let paths: Vec<_> = config.subvolumes.iter().map(|it| it.path.as_path()).collect();
            assert_eq!(paths, [Path::new("/srv/data"), Path::new("/srv/my \"home\"")]);
            assert_eq!(config.base_dir, Path::new("/srv/snapshots"));
            assert_eq!(config.bucket.settings.endpoint, endpoint);
            assert_eq!(config.bucket.layout.prefix().as_str(), "nas/${HOST}/");
            assert_eq!(config.bucket.class_chunks, "DEEP_ARCHIVE");
            assert!(answers.text().lines().all(|line| line.chars().count() <= 100));
        }
    }

    #[test]
    fn the_proposals_fit_the_answers() {
        assert_eq!(proposed_class(None), "DEEP_ARCHIVE");
        assert_eq!(proposed_class(Some("https://s3.example.org")), "STANDARD");
        assert_eq!(proposed_base_dir(&["/srv/data".to_owned()]), Path::new("/srv/snapshots"));
        assert_eq!(proposed_base_dir(&["/".to_owned()]), Path::new("/snapshots"));
    }
}
