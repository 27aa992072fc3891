//! A first `client.yaml` with comments, from the answers of `init`. Pure: the same answers give the same
//! text.

use s3up_cli::Secret;
use s3up_cli::init::quoted;

/// The answers of `init`.
#[derive(Clone, Debug)]
pub struct FirstConfig {
    pub url: String,
    pub key: Secret,
    pub ca_file: Option<String>,
    pub insecure: bool,
    pub database: String,
    /// Each directory with its remote prefix.
    pub watches: Vec<(String, String)>,
}

/// Returns the remote prefix that `init` proposes: the name of the directory.
pub fn proposed_prefix(local_path: &str) -> String {
    match local_path.trim_end_matches('/').rsplit('/').next() {
        None | Some("") => String::new(),
        Some(name) => format!("{name}/"),
    }
}

impl FirstConfig {
    /// Returns the text of the file. It holds the client key.
    pub fn text(&self) -> String {
        let watch = |(path, prefix): &(String, String)| {
            format!("  - local_path: {}\n    remote_prefix: {}\n", quoted(path), quoted(prefix))
        };
        let watches: String = self.watches.iter().map(watch).collect();
        let ca_file = match &self.ca_file {
            Some(file) => format!("  ca_file: {}\n", quoted(file)),
            None => "  # An authority of your own; every user must be able to read the file:\n  \
                     # ca_file: \"/etc/ssl/s3up-ca.pem\"\n"
                .to_owned(),
        };
        let insecure = match self.insecure {
            true => "  # The client key is sent unencrypted.\n  insecure: true\n",
            false => "",
        };
        format!(
            "# Configuration of the agent, written by `s3up init`. docs/configuration.md describes all\n\
             # keys. This file holds a secret: keep its mode.\n\
             server:\n  \
               url: {url}\n  \
               api_key: {key}\n\
             {ca_file}{insecure}\
             \n\
             # The service can write nowhere else.\n\
             database:\n  \
               path: {database}\n\
             \n\
             watches:\n\
             {watches}\
             \n\
             # Patterns as in .gitignore, for all watches:\n\
             # exclude: [\"*.tmp\", \"cache/\"]\n\
             \n\
             # Files that exist before the first scan are uploaded, too.\n\
             scan:\n  \
               upload_existing: true\n",
            url = quoted(&self.url),
            key = quoted(self.key.expose()),
            database = quoted(&self.database),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, Raw};
    use super::*;

    #[test]
    fn the_file_is_valid_and_has_the_answers() {
        for (ca_file, insecure, url) in [
            (None, false, "https://backup.example.org:8080"),
            (Some("/etc/ssl/ca.pem".to_owned()), true, "http://10.0.0.1:8080"),
        ] {
            let first = FirstConfig {
                url: url.to_owned(),
                key: Secret::new("s3up_a${B}\"c".to_owned()),
                ca_file: ca_file.clone(),
                insecure,
                database: "/var/lib/s3up/client.db".to_owned(),
                watches: vec![
                    ("/var/www/uploads".to_owned(), "uploads/".to_owned()),
                    ("/srv/my files".to_owned(), "my files/".to_owned()),
                ],
            };

            let loaded =
                s3up_cli::config::parse::<Raw>(Path::new("client.yaml"), &first.text(), &|_| None);
            let config = Config::check(loaded.unwrap()).unwrap();

            assert_eq!(config.server.api_key.expose(), "s3up_a${B}\"c");
            assert_eq!(config.server.ca_file.as_deref(), ca_file.as_deref().map(Path::new));
            let watches: Vec<_> =
                config.watches.iter().map(|it| (it.root.clone(), it.prefix.as_str())).collect();
            assert_eq!(watches[0], ("/var/www/uploads".into(), "uploads/"));
            assert_eq!(watches[1], ("/srv/my files".into(), "my files/"));
            assert!(config.upload_existing);
        }
    }

    #[test]
    fn the_name_of_the_directory_is_proposed_as_prefix() {
        for (path, want) in [("/var/www/uploads", "uploads/"), ("/srv/a b/", "a b/"), ("/", "")] {
            assert_eq!(proposed_prefix(path), want);
        }
    }
}
