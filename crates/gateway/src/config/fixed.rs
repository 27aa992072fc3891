//! The settings that a running gateway cannot change.

use std::fmt;

use super::Config;

/// The name of each such key, with its value.
#[derive(Clone)]
pub(crate) struct FixedSettings(Vec<(&'static str, String)>);

impl Config {
    pub(crate) fn fixed_settings(&self) -> FixedSettings {
        let Config { listen, tls, connections_max, store, prefix, database, log_format, .. } = self;
        let database_key = match &database.location {
            crate::database::Location::Sqlite(path) => {
                ("database.path", path.display().to_string())
            }
            crate::database::Location::Postgres(url) => ("database.url", url.expose().to_owned()),
        };
        FixedSettings(vec![
            ("server.host", listen.ip().to_string()),
            ("server.port", listen.port().to_string()),
            ("server.tls.enabled", tls.is_some().to_string()),
            ("server.max_connections", connections_max.to_string()),
            ("server.buffer_budget_mb", store.buffer_budget_bytes.to_string()),
            ("s3.endpoint", store.endpoint.clone().unwrap_or_default()),
            ("s3.region", store.region.clone()),
            ("s3.bucket", store.bucket.clone()),
            ("s3.path_prefix", prefix.as_str().to_owned()),
            ("s3.profile", format!("{:?}", store.profile)),
            database_key,
            ("activity.keep_days", database.keep_days.to_string()),
            ("log.format", format!("{log_format:?}")),
        ])
    }
}

impl FixedSettings {
    /// Returns the names of the keys whose value differs.
    pub(crate) fn differences(&self, other: &FixedSettings) -> Vec<&'static str> {
        let pairs = self.0.iter().zip(&other.0);
        pairs.filter(|(before, after)| before != after).map(|(_, (name, _))| *name).collect()
    }
}

/// The URL of a database may contain a password.
impl fmt::Debug for FixedSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
