//! The effective configuration as `check-config` prints it: TOML, with every default and
//! without secrets. It can be used as a configuration file.

use std::fmt::{Display, Write};
use std::path::Path;

use btrfs_host::compressed::ProtocolSetting;
use s3up_cli::{LogLevel, SecretUrl};
use s3up_core::Size;
use s3up_repository::names::Subvolume;
use s3up_repository::retention::MinAge;
use s3up_store::{Profile, Sse};

use super::Config;
use crate::prices::{ClassPrices, Prices, ThawPrice, list_prices};

/// Sections with their keys.
struct Toml(String);

impl Toml {
    fn section(&mut self, name: &str) -> &mut Toml {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        self.line(format_args!("{gap}[{name}]"))
    }

    fn line(&mut self, line: impl Display) -> &mut Toml {
        writeln!(self.0, "{line}").expect("a string takes every text");
        self
    }

    fn value(&mut self, key: &str, value: impl Display) -> &mut Toml {
        self.line(format_args!("{key} = {value}"))
    }

    fn text(&mut self, key: &str, value: &str) -> &mut Toml {
        self.value(key, quoted(value))
    }

    fn path(&mut self, key: &str, path: &Path) -> &mut Toml {
        self.text(key, &path.to_string_lossy())
    }

    fn size(&mut self, key: &str, bytes: u64) -> &mut Toml {
        self.value(key, format_args!("{bytes}  # {}", Size(bytes)))
    }

    /// Writes a key that has no default.
    fn unset(&mut self, key: &str, meaning: &str) -> &mut Toml {
        self.line(format_args!("# {key}: not set, {meaning}"))
    }
}

/// Formats a string of TOML. The escapes of JSON are valid there, DEL must be escaped as
/// well, and `${` would be read as a variable.
fn quoted(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a string is always JSON");
    quoted.replace('\u{7f}', "\\u007f").replace("${", "$${")
}

impl Config {
    /// Formats the effective configuration for people: with every default and without
    /// secrets.
    pub fn summary(&self) -> String {
        let mut toml = Toml(String::new());
        self.host(&mut toml);
        self.s3(&mut toml);
        self.policies(&mut toml);
        toml.0
    }

    fn host(&self, toml: &mut Toml) {
        let level = match self.log_level {
            Some(LogLevel::Debug) => "debug",
            Some(LogLevel::Info) | None => "info",
            Some(LogLevel::Warning) => "warning",
            Some(LogLevel::Error) => "error",
        };
        toml.section("global").text("log_level", level);
        toml.path("lock_path", &self.lock_path).path("state_path", &self.state_path);
        match &self.spool {
            Some(spool) => {
                toml.path("spool_dir", &spool.directory).size("spool_size_bytes", spool.limit_bytes)
            }
            None => toml.unset("spool_dir", "no spool").unset("spool_size_bytes", "no spool"),
        };
        let schedule = &self.schedule;
        toml.section("schedule")
            .value("full_every_days", schedule.full_every_days)
            .value("incremental_every_days", schedule.incremental_every_days)
            .text("run_at", &schedule.run_at.strftime("%H:%M").to_string())
            .text("unplanned_full", schedule.unplanned_full.as_str());
        toml.section("snapshots").path("base_dir", &self.base_dir).value("retain", self.retain);
        toml.section("subvolumes").line("paths = [");
        for Subvolume { name, path } in &self.subvolumes {
            let (path, name) = (quoted(&path.to_string_lossy()), quoted(name.as_str()));
            toml.line(format_args!("  {{ path = {path}, name = {name} }},"));
        }
        toml.line("]");
        match self.ignore_nested.is_empty() {
            true => toml.unset("ignore_nested", "each nested subvolume needs a backup"),
            false => {
                let paths = self.ignore_nested.iter().map(|path| quoted(&path.to_string_lossy()));
                let paths: Vec<_> = paths.collect();
                toml.value("ignore_nested", format_args!("[{}]", paths.join(", ")))
            }
        };
    }

    fn s3(&self, toml: &mut Toml) {
        let bucket = &self.bucket;
        let settings = &bucket.settings;
        toml.section("s3")
            .text("bucket", &settings.bucket)
            .text("region", &settings.region)
            .text("prefix", bucket.layout.prefix().as_str());
        match &settings.endpoint {
            Some(endpoint) => toml.text("endpoint", endpoint),
            None => toml.unset("endpoint", "AWS"),
        };
        match &settings.ca_file {
            Some(file) => toml.path("ca_file", file),
            None => toml.unset("ca_file", "the certificates of the system"),
        };
        let profile = match settings.profile {
            Profile::Aws => "aws",
            Profile::Generic => "generic",
        };
        toml.text("profile", profile)
            .size("chunk_size_bytes", bucket.chunk_bytes)
            .size("part_size_bytes", bucket.part_bytes)
            .text("storage_class_chunks", &bucket.class_chunks)
            .text("storage_class_manifest", &bucket.class_manifest)
            .value(
                "concurrency",
                format_args!(
                    "{}  # {} of memory for buffers",
                    bucket.concurrency,
                    Size(settings.buffer_budget_bytes)
                ),
            )
            .value("spool_enabled", self.spool.is_some());
        match &settings.sse {
            Sse::Unset => toml.text("sse", "none").unset("kms_key_id", "no KMS"),
            Sse::Aes256 => toml.text("sse", "AES256").unset("kms_key_id", "no KMS"),
            Sse::Kms { key_id: None } => {
                toml.text("sse", "aws:kms").unset("kms_key_id", "the key of the bucket or account")
            }
            Sse::Kms { key_id: Some(id) } => toml.text("sse", "aws:kms").text("kms_key_id", id),
        };
        toml.value("parts_max", bucket.parts_max)
            .value("retry_hours", bucket.retry_for.as_secs_f64() / 3600.0);
        match settings.bandwidth.upload_bytes_per_second {
            Some(limit) => toml.size("bandwidth_limit_bytes", limit.get()),
            None => toml.unset("bandwidth_limit_bytes", "no limit"),
        };
    }

    fn policies(&self, toml: &mut Toml) {
        toml.section("retention")
            .value("generations", self.retention.generations)
            .value("keep_days", self.retention.keep_days);
        match self.retention.min_age {
            MinAge::Days(days) => toml.value("min_age_days", days),
            MinAge::ByClass => toml.unset("min_age_days", "by storage class"),
        };
        toml.text("prune", if self.prune_after_backup { "auto" } else { "off" });
        toml.section("send").text("compressed", self.stream_form.compressed.as_str());
        match self.stream_form.protocol {
            ProtocolSetting::Auto => toml.text("protocol", "auto"),
            ProtocolSetting::One => toml.value("protocol", 1),
            ProtocolSetting::Two => toml.value("protocol", 2),
        };
        let restore = &self.restore;
        toml.section("restore");
        match &self.target_base_dir {
            Some(dir) => toml.path("target_base_dir", dir),
            None => toml.unset("target_base_dir", "a restore needs --target"),
        };
        toml.text("verify_mode", restore.verify.as_str())
            .value("sample_max_files", restore.sample_max_files)
            .value("wait_for_restore", restore.waits)
            .value("restore_timeout_seconds", restore.timeout.as_secs())
            .text("restore_tier", restore.terms.tier.as_str())
            .value("thaw_days", restore.terms.days);
        toml.section("notify");
        match self.notify.as_ref().map(SecretUrl::host) {
            Some(host) => toml.line(format_args!("# url: set, a secret on {host}")),
            None => toml.unset("url", "no notifications"),
        };
        toml.section("drill");
        match &self.drill_dir {
            Some(dir) => toml.path("scratch_dir", dir),
            None => toml.unset("scratch_dir", "no drills"),
        };
        toml.section("report");
        match &self.report {
            Some(report) => {
                toml.text("url", report.url.as_str()).path("key_file", &report.key_file);
                match &report.ca_file {
                    Some(file) => toml.path("ca_file", file),
                    None => toml.unset("ca_file", "the certificates of the system"),
                };
            }
            None => {
                toml.unset("url", "no reports").unset("key_file", "no reports");
                toml.unset("ca_file", "no reports");
            }
        }
        toml.value("insecure", self.report_insecure);
        prices(toml.section("prices"), self.bucket.prices.as_ref());
    }
}

/// Writes the price table; of the classes only those that are not in the list of AWS.
fn prices(toml: &mut Toml, prices: Option<&Prices>) {
    let Some(prices) = prices else {
        for key in ["source", "transfer_gib", "get_1000", "put_1000", "classes"] {
            toml.unset(key, "no prices are known for this server");
        }
        return;
    };
    toml.text("source", &prices.source)
        .value("transfer_gib", prices.transfer_gib)
        .value("get_1000", prices.get_1000)
        .value("put_1000", prices.put_1000);
    let list = list_prices();
    let set = prices.classes.iter().filter(|(name, class)| list.classes.get(*name) != Some(class));
    let set: Vec<_> = set.map(|(name, class)| format!("{name} = {}", inline(class))).collect();
    match set.is_empty() {
        true => toml.unset("classes", &format!("the prices of {}", list.source)),
        false => toml.value("classes", format_args!("{{ {} }}", set.join(", "))),
    };
}

/// Formats the prices of a class as an inline table.
fn inline(class: &ClassPrices) -> String {
    let mut pairs = vec![
        ("gib_month".to_owned(), class.gib_month),
        ("put_1000".to_owned(), class.put_1000),
        ("read_gib".to_owned(), class.read_gib),
    ];
    let thaws = [
        ("standard", class.thaw_standard),
        ("bulk", class.thaw_bulk),
        ("expedited", class.thaw_expedited),
    ];
    for (tier, thaw) in thaws {
        if let Some(ThawPrice { gib, request_1000 }) = thaw {
            pairs.push((format!("thaw_{tier}_gib"), gib));
            pairs.push((format!("thaw_{tier}_1000"), request_1000));
        }
    }
    let pairs: Vec<_> = pairs.into_iter().map(|(key, price)| format!("{key} = {price}")).collect();
    format!("{{ {} }}", pairs.join(", "))
}
