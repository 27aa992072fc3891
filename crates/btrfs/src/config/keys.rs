//! Every key of `config.toml`, described for the operator.
//!
//! This is the only description of the keys: README.md and docs/configuration.md
//! hold the table that [`table`] renders. The tests beside it hold the keys, their
//! defaults and which of them are required to the code.

/// One key of `config.toml`.
pub(super) struct Key {
    pub name: &'static str,
    pub default: KeyDefault,
    pub unit: &'static str,
    pub constraints: &'static str,
    pub effects: &'static str,
}

/// Value of a key that the file does not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyDefault {
    Value(&'static str),
    Unset,
    Required,
}

use KeyDefault::{Required, Unset, Value};

pub(super) const HEADER: &str = "| key | default | unit | constraints | effects |";

/// Returns the table of all keys in Markdown.
pub(super) fn table() -> String {
    let mut lines = vec![HEADER.to_owned(), "| --- | --- | --- | --- | --- |".to_owned()];
    lines.extend(KEYS.iter().map(row));
    lines.join("\n")
}

fn row(key: &Key) -> String {
    let Key { name, unit, constraints, effects, .. } = key;
    let default = match key.default {
        Value(value) => format!("`{value}`"),
        Unset => "none".to_owned(),
        Required => "required".to_owned(),
    };
    format!("| `{name}` | {default} | {unit} | {constraints} | {effects} |")
}

const fn key(
    name: &'static str,
    default: KeyDefault,
    unit: &'static str,
    constraints: &'static str,
    effects: &'static str,
) -> Key {
    Key { name, default, unit, constraints, effects }
}

#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key("global.log_level", Value("info"), "one of", "`debug`, `info`, `warning`, `error`",
        "Least important level that is logged. `--log-level` overrides it."),
    key("global.lock_path", Value("/var/lock/btrfs-to-s3.lock"), "path", "its directory exists",
        "A second run that uses the same lock file exits with 75. Two configurations that share \
         a lock file never run at the same time."),
    key("global.state_path", Value("/var/lib/btrfs-to-s3/state.json"), "path", "",
        "Cache of the last runs, which `status` prints. The files of drills, verifies, \
         reports and unfinished prunes lie beside it."),
    key("global.spool_dir", Unset, "path",
        "an existing directory; required by `s3.spool_enabled`",
        "Directory of the spool. Its files have no name and vanish when the run ends."),
    key("global.spool_size_bytes", Unset, "bytes",
        "at least one part; required by `s3.spool_enabled`",
        "Maximum number of bytes of a stream that wait in the spool. Parts in flight are held in memory in \
         addition. If the disk is full earlier, `btrfs send` slows down to the pace of S3."),
    key("schedule.full_every_days", Value("180"), "calendar days", "1 to 36,500",
        "Days between two fulls. A full uploads the whole subvolume. Frequent fulls cost uploads and storage; rare fulls \
         make long chains, and a restore reads its whole chain."),
    key("schedule.incremental_every_days", Value("7"), "calendar days", "1 to 36,500",
        "Days between two backups. Data that is created and deleted between them is never uploaded."),
    key("schedule.run_at", Value("02:00"), "local time", "`HH:MM`",
        "Local time from which a backup is due on its day, even if the timer runs every hour."),
    key("schedule.unplanned_full", Value("warn"), "one of", "`warn`, `refuse`",
        "A full that is not due but needed, because the parent of an incremental is gone or \
         changed: `warn` makes it with a warning, `refuse` fails instead. `backup --full` makes it \
         in any case."),
    key("snapshots.base_dir", Value("/srv/snapshots"), "path",
        "an existing directory on the filesystem of the subvolumes",
        "Snapshot directory. Configurations with different prefixes may share it."),
    key("snapshots.retain", Value("2"), "snapshots", "at least 1",
        "Number of local snapshots to keep of each subvolume. A snapshot occupies the space of \
         everything that was deleted or changed since it was made."),
    key("subvolumes.paths", Required, "paths, or `{ path, name }`",
        "at least one; all on one btrfs filesystem; each name once; `/` needs a name",
        "Subvolumes to back up. The name is part of the keys in the bucket: a renamed subvolume \
         starts with a full."),
    key("subvolumes.ignore_nested", Unset, "paths", "absolute",
        "Nested subvolumes that need no backup. `backup` warns of all others that are not in \
         `subvolumes.paths`, and `status --check` fails."),
    key("s3.bucket", Required, "name", "not empty", "Name of the bucket."),
    key("s3.region", Required, "name", "not empty", "Region of the bucket."),
    key("s3.prefix", Required, "key prefix", "short enough for keys of at most 1,024 bytes",
        "Leading part of all keys. Each host needs its own prefix. A new prefix starts with a full."),
    key("s3.endpoint", Unset, "URL", "`http://` or `https://` and a host",
        "Without it, requests go to AWS. With it, `s3.profile` defaults to `generic`."),
    key("s3.ca_file", Unset, "path", "PEM",
        "CA certificates that are trusted for the endpoint, in place of the system's CA certificates."),
    key("s3.profile", Value("aws"), "one of", "`aws`, `generic`",
        "`generic` uses path-style addresses and learns from the answers of the server what it \
         verifies. It is the default if `s3.endpoint` is set."),
    key("s3.chunk_size_bytes", Value("214748364800"), "bytes",
        "at least 1; at most 10,000 chunks per stream",
        "Length of the objects that a stream is cut into. A chunk of more than 10,000 parts makes \
         the parts longer. Small chunks make many objects, each of which archive classes charge for."),
    key("s3.part_size_bytes", Value("33554432"), "bytes", "5 MiB to 5 GiB",
        "Length of the parts of an upload. Memory for parts is part size × (concurrency + 1). A part that fails is sent again as a \
         whole."),
    key("s3.parts_max", Value("10000"), "parts",
        "at most 10,000; a chunk must fit into parts of 5 GiB",
        "Maximum number of parts that the server accepts in one upload. Swift and Scaleway accept \
         1,000, unless they are configured otherwise. Parts become longer where a chunk needs \
         more."),
    key("s3.storage_class_chunks", Value("DEEP_ARCHIVE"), "class", "a storage class of S3",
        "Storage class of chunks. Objects in GLACIER and DEEP_ARCHIVE must be thawed before a restore. Archive classes \
         charge for a minimum storage time."),
    key("s3.storage_class_manifest", Value("STANDARD"), "class",
        "a storage class that needs no thaw", "Storage class of manifests, part indexes and pointers. Every run reads them."),
    key("s3.concurrency", Value("4"), "parts", "1 to 256",
        "Number of parts in flight. Memory for parts is part size × (concurrency + 1), by default \
         160 MiB; the process needs about 50 MiB more."),
    key("s3.spool_enabled", Value("false"), "boolean",
        "needs `global.spool_dir` and `global.spool_size_bytes`",
        "`btrfs send` runs at the speed of the spool's disk and ends early. Each byte is written \
         to that disk and read back."),
    key("s3.sse", Value("AES256"), "one of", "`AES256`, `aws:kms`, `none`",
        "Encryption of objects by S3. A server without encryption refuses the default and needs `none`."),
    key("s3.kms_key_id", Unset, "key id", "only with `s3.sse = \"aws:kms\"`",
        "A restore needs the permission to decrypt with this key."),
    key("s3.retry_hours", Value("6"), "hours", "0 to 744",
        "Longest time for which a failing request is repeated. Meanwhile `btrfs send` keeps \
         running and the run holds the lock."),
    key("s3.bandwidth_limit_bytes", Unset, "bytes per second", "at least 1",
        "Limit for uploads. It slows `btrfs send` down as well, unless a spool is used."),
    key("retention.generations", Value("1"), "generations", "at least 1",
        "Number of generations to keep in the bucket. An older one is deleted once the newest \
         full has a published incremental."),
    key("retention.keep_days", Value("30"), "days", "0 to 36,500",
        "Length of the restore window. A generation that is needed to go back to any moment in \
         it is not deleted, whatever the other rules say. `0` disables the window."),
    key("retention.min_age_days", Unset, "days", "0 to 36,500",
        "Minimum age of a generation before it is deleted. Unset: the minimum storage time that \
         S3 charges for its storage class."),
    key("retention.prune", Value("auto"), "one of", "`auto`, `off`",
        "`auto` prunes at the end of each backup. `off` leaves it to the command `prune`."),
    key("send.compressed", Value("never"), "one of", "`never`, `auto`, `always`",
        "Sends data as it is compressed on disk (protocol 2). There is less to upload, but the \
         host that restores must support protocol 2."),
    key("send.protocol", Value("auto"), "`auto`, 1 or 2", "1 only without `send.compressed = \"always\"`",
        "Protocol of the send stream. 1 sends holes that were punched into a file (`fstrim` in a \
         disk image) as zeros. 2 sends them as holes; a restore then needs btrfs-progs 6.2. `auto` \
         is 2 if this host has Linux 6.0 and btrfs-progs 6.2, so that it can restore what it sends."),
    key("restore.target_base_dir", Unset, "path", "an existing directory on btrfs",
        "A restore without `--target` creates its subvolume there, under the name of the \
         subvolume that is restored."),
    key("restore.verify_mode", Value("full"), "one of", "`full`, `sample`, `none`",
        "How a restore is compared with its source snapshot, if that is on this host. `full` reads \
         both trees once. The stream is always verified. `--verify` overrides it."),
    key("restore.sample_max_files", Value("1000"), "files", "1 to 1,000,000",
        "Number of files whose content `sample` compares, together at most 16 GiB: of longer files \
         it compares pieces. It compares the metadata of all files."),
    key("restore.wait_for_restore", Value("true"), "boolean", "",
        "`false`: a restore of archived chunks requests their thaw and exits with 4."),
    key("restore.restore_timeout_seconds", Value("259200"), "seconds", "",
        "Longest wait for a thaw. After it the exit code is 4, and the thaw continues in S3."),
    key("restore.restore_tier", Value("Standard"), "one of", "`Standard`, `Bulk`, `Expedited`",
        "Price and duration of a thaw. DEEP_ARCHIVE has no `Expedited`."),
    key("restore.thaw_days", Value("14"), "days", "1 to 365",
        "How long S3 keeps the thawed copies, and charges for them. A restore that takes longer \
         extends them."),
    key("notify.url", Unset, "URL", "`http://` or `https://` and a host",
        "Each `backup` reports its end to this URL. The URL is a secret: logs name only its host."),
    key("drill.scratch_dir", Unset, "path",
        "an existing directory with room for the streams of a chain",
        "Directory of the scratch filesystem of `drill`. If it is set, `status --check` fails \
         without a good drill in the last 62 days."),
    key("report.url", Unset, "URL", "`https://` and a host, with at most 1,000 subvolumes; needs `report.key_file`",
        "Gateway (`s3up-server`) to which each `backup`, `drill` and `verify` reports the state of all \
         subvolumes. It shows them with the web hosts, and notices a silent host."),
    key("report.key_file", Unset, "path", "a file that only its owner can read; needs `report.url`",
        "File with the client key of this host at the gateway. It is read for each report."),
    key("report.ca_file", Unset, "path", "PEM",
        "CA certificates that are trusted for the gateway, in place of the system's."),
    key("report.insecure", Value("false"), "boolean", "",
        "Allows `http://` to another host. The client key is then sent unencrypted."),
    key("prices.source", Value("AWS us-east-1, 2025-06"), "text", "required with `s3.endpoint`, if any price is set",
        "Where the prices come from, for example the region and the month. It is printed beside each cost. \
         The defaults of all prices are the list prices of AWS; they are not looked up."),
    key("prices.transfer_gib", Value("0.09"), "dollars", "required with `s3.endpoint`, if any price is set",
        "Download of a GiB to this host. `0` in the region of the bucket."),
    key("prices.get_1000", Value("0.0004"), "dollars", "required with `s3.endpoint`, if any price is set",
        "1,000 GET requests. A restore makes one for each part."),
    key("prices.put_1000", Value("0.005"), "dollars", "required with `s3.endpoint`, if any price is set",
        "1,000 requests that upload a part."),
    key("prices.classes", Unset, "dollars, by class", "`{ CLASS = { gib_month, put_1000, read_gib, thaw_TIER_gib, thaw_TIER_1000 } }`",
        "Prices of storage classes: a GiB for a month, 1,000 objects, to read a GiB, to thaw a GiB, and \
         1,000 requests to thaw, where `TIER` is `standard`, `bulk` or `expedited`. On AWS, what is not \
         set has the list price."),
];
