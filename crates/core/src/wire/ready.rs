//! `GET /ready`: says whether the gateway can store files and record what it stored.

use serde::{Deserialize, Serialize};

/// The response to `GET /ready`: status 200 if `ready` is true, otherwise 503.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Readiness {
    pub ready: bool,
    pub s3: Part,
    pub database: Part,
    /// `enabled`, `off` or `unknown`. Unless it is `enabled`, overwritten files cannot be recovered.
    pub versioning: String,
    /// `failing` while a configuration that was refused at a reload has not been corrected. The
    /// earlier one is in force, so the gateway is ready all the same.
    #[serde(default)]
    pub config: Part,
    /// Number of configurations that were refused since the start of the gateway.
    #[serde(default)]
    pub configs_refused: u64,
    /// `failing` while the disk takes no temporary files. Only a form whose path comes after its file
    /// needs one, so the gateway is ready all the same.
    #[serde(default)]
    pub temporary_files: Part,
}

/// The state of one thing that the gateway depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Part {
    #[default]
    Ok,
    Failing,
    /// A state of a newer gateway, unknown to this version.
    #[serde(other)]
    Unknown,
}
