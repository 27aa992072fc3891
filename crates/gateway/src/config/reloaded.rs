//! The parts of a configuration that a reload replaces, and those that it cannot.

use super::Config;
use crate::database::Location;
use crate::live::LiveSettings;
use crate::reload::LoadedConfig;
use crate::reload::fixed::FixedSettings;

impl Config {
    /// Returns the configuration as a reload puts it into force.
    pub(crate) fn into_loaded(self) -> LoadedConfig {
        let fixed = self.fixed_settings();
        LoadedConfig { tls: self.tls.clone(), live: self.into_live(), fixed }
    }

    pub(crate) fn into_live(self) -> LiveSettings {
        LiveSettings {
            store: self.store,
            clients: self.clients,
            admin_keys: self.admin_keys,
            alerts: self.alerts,
            dashboard_downloads: self.dashboard_downloads,
            part_bytes: self.part_bytes,
            parts_max: self.parts_max,
            require_versioning: self.require_versioning,
            accepted_rules: self.accepted_rules,
            trusted_proxies: self.trusted_proxies,
        }
    }

    pub(crate) fn fixed_settings(&self) -> FixedSettings {
        let Config { listen, tls, connections_max, store, prefix, database, log_format, .. } = self;
        let database_key = match &database.location {
            Location::Sqlite(path) => ("database.path", path.display().to_string()),
            Location::Postgres(url) => ("database.url", url.expose().to_owned()),
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
