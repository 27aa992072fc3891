//! A first `server.yaml` with comments, from the answers of `init`. Pure: the same answers give the same
//! text.

use s3up_cli::init::quoted;
use s3up_core::{ClientName, Sha256Digest};

/// The answers of `init`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstConfig {
    pub host: String,
    pub port: u16,
    pub tls: Option<FirstTls>,
    pub bucket: String,
    pub region: String,
    /// `None` for AWS.
    pub endpoint: Option<String>,
    pub prefix: String,
    pub client: ClientName,
    /// SHA-256 of the key of the client.
    pub digest: Sha256Digest,
    pub database: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstTls {
    pub cert_file: String,
    pub key_file: String,
}

impl FirstConfig {
    /// Returns the text of the file.
    pub fn text(&self) -> String {
        let tls = match &self.tls {
            Some(FirstTls { cert_file, key_file }) => format!(
                "  tls:\n    enabled: true\n    cert_file: {}\n    key_file: {}\n",
                quoted(cert_file),
                quoted(key_file)
            ),
            None => "  # Without TLS the gateway listens on loopback only: for a proxy on this host, or a test.\n  \
                     # tls: { enabled: true, cert_file: \"/etc/s3up-server/cert.pem\", \
                     key_file: \"/etc/s3up-server/key.pem\" }\n"
                .to_owned(),
        };
        let endpoint = match &self.endpoint {
            Some(endpoint) => format!("  endpoint: {}\n", quoted(endpoint)),
            None => "  # Without an endpoint, requests go to AWS.\n  \
                     # endpoint: \"https://s3.example.org\"\n"
                .to_owned(),
        };
        format!(
            "# Configuration of the gateway, written by `s3up-server init`. docs/configuration.md\n\
             # describes all keys.\n\
             server:\n  \
               host: {host}\n  \
               port: {port}\n\
             {tls}\
             \n\
             s3:\n\
             {endpoint}  \
               region: {region}\n  \
               bucket: {bucket}\n  \
               # Leading part of the keys of all clients.\n  \
               path_prefix: {prefix}\n  \
               # From the environment, or from the file of --env-file.\n  \
               access_key_id: \"${{S3_ACCESS_KEY_ID}}\"\n  \
               secret_access_key: \"${{S3_SECRET_ACCESS_KEY}}\"\n  \
               # Without versions, an overwritten file is lost. `false` accepts that.\n  \
               require_versioning: true\n\
             \n\
             # `s3up-server keygen --name NAME` prints an entry for another client.\n\
             clients:\n  \
               - name: {client}\n    \
                 api_key_sha256: \"{digest}\"\n    \
                 # A key on a web host should upload only. Restores use another one.\n    \
                 allow: [upload, exists, list, download]\n    \
                 max_file_size_mb: 1024\n\
             \n\
             database:\n  \
               path: {database}\n\
             \n\
             # Keys that may read the state of all clients (GET /clients, /metrics):\n\
             # admin_keys_sha256: [\"...\"]\n\
             \n\
             # alerts:\n\
             #   webhook_url: \"https://chat.example.org/hooks/...\"\n",
            host = quoted(&self.host),
            port = self.port,
            region = quoted(&self.region),
            bucket = quoted(&self.bucket),
            prefix = quoted(&self.prefix),
            client = quoted(self.client.as_str()),
            digest = self.digest,
            database = quoted(&self.database),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Config;
    use super::*;

    #[test]
    fn the_file_is_valid_and_has_the_answers() {
        let tls =
            FirstTls { cert_file: "/etc/c.pem".to_owned(), key_file: "/etc/k.pem".to_owned() };
        for (host, tls) in [("127.0.0.1", None), ("0.0.0.0", Some(tls))] {
            for endpoint in [None, Some("https://s3.example.org".to_owned())] {
                let first = FirstConfig {
                    host: host.to_owned(),
                    port: 8443,
                    tls: tls.clone(),
                    bucket: "backups".to_owned(),
                    region: "eu-central-1".to_owned(),
                    endpoint: endpoint.clone(),
                    prefix: "si\"tes/".to_owned(),
                    client: ClientName::parse("web-01").unwrap(),
                    digest: Sha256Digest::of(b"key"),
                    database: "/var/lib/s3up-server/gateway.db".to_owned(),
                };
                let env = |name: &str| Some(format!("value of {name}"));

                let config = Config::parse(Path::new("server.yaml"), &first.text(), &env).unwrap();

                assert_eq!(config.listen.to_string(), format!("{host}:8443"));
                assert_eq!(config.tls.is_some(), tls.is_some());
                assert_eq!(config.store.bucket, "backups");
                assert_eq!(config.store.endpoint, endpoint);
                assert_eq!(config.prefix.as_str(), "si\"tes/");
                assert!(config.require_versioning);
            }
        }
    }
}
