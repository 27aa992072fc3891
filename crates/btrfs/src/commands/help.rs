//! The texts of `--help` that are not beside an option: headings and examples.
//!
//! Help fits 80 columns; a test holds it to that, and to the golden files in `tests/golden/help`.

pub const GLOBAL: &str = "Global options";
pub const REPOSITORY: &str = "Bucket";
pub const SELECTION: &str = "Selection";
pub const MODE: &str = "Mode";
pub const OUTPUT: &str = "Output";
pub const BUCKET: &str = "Bucket (instead of a configuration file)";
pub const TARGET: &str = "Target";
pub const THAW: &str = "Thaw";
pub const MEASUREMENT: &str = "Measurement";

pub const PROGRAM: &str = "\
Examples:
  btrfs-to-s3 check-config
  btrfs-to-s3 backup --once
  btrfs-to-s3 restore --subvolume data --target /mnt/restored/data

Exit codes:
  0   done, or nothing was due
  1   failed
  2   wrong usage or configuration; nothing was done
  3   some subvolumes are done, others failed
  4   archived objects have to be thawed first; nothing is wrong
  75  another run holds the lock
  130, 143  stopped by a signal

Run 'btrfs-to-s3 COMMAND --help' for the options of a command.";

pub const BACKUP: &str = "\
Examples:
  # Back up what is due; this is what the systemd timer runs
  btrfs-to-s3 backup

  # Back up one subvolume now
  btrfs-to-s3 backup --once --subvolume data

  # Show what would be done, without doing it
  btrfs-to-s3 backup --once --dry-run";

pub const PLAN: &str = "\
Examples:
  btrfs-to-s3 plan

  # For a script
  btrfs-to-s3 plan --subvolume data --json";

pub const INIT: &str = "\
Asks on a terminal for each value that no option gives, writes the file of
--config with mode 0600, and checks it as `doctor` does. A file that exists is
not touched. The S3 credentials come from the environment.

Examples:
  btrfs-to-s3 init

  btrfs-to-s3 init --subvolume /srv/data --bucket backups --region us-east-1";

pub const STATUS: &str = "\
Examples:
  btrfs-to-s3 status
  btrfs-to-s3 status --subvolume data --history 30

  # For a monitoring system
  btrfs-to-s3 status --check";

pub const ESTIMATE: &str = "\
Examples:
  btrfs-to-s3 estimate
  btrfs-to-s3 estimate --days 30 --subvolume data";

pub const BENCHMARK: &str = "\
The test objects are deleted again.

Examples:
  btrfs-to-s3 benchmark
  btrfs-to-s3 benchmark --bytes 4294967296 --concurrency 2,4,8

  # Measure 'btrfs send' as well
  btrfs-to-s3 benchmark --subvolume data";

pub const PRUNE: &str = "\
Examples:
  # Show what would be deleted, and why
  btrfs-to-s3 prune --dry-run

  btrfs-to-s3 prune --subvolume data
  btrfs-to-s3 prune --orphans --older-than 7 --dry-run";

pub const DRILL: &str = "\
A drill restores into a file in 'drill.scratch_dir', which is removed again.

Examples:
  btrfs-to-s3 drill
  btrfs-to-s3 drill --subvolume data --json

  # Thaw archived chunks first, and wait up to a day
  btrfs-to-s3 drill --wait-restore --restore-timeout 86400";

pub const CHECK_CONFIG: &str = "\
Examples:
  btrfs-to-s3 check-config
  btrfs-to-s3 --config /root/test.toml check-config";

pub const DOCTOR: &str = "\
Writes small objects below the prefix, and one of 5 MiB in the storage class of
the chunks. Exits with 1 if a guarantee is lost.

Examples:
  btrfs-to-s3 doctor
  btrfs-to-s3 doctor --json

  # On a host without a configuration file
  btrfs-to-s3 doctor --bucket my-bucket --region eu-central-1 --prefix nas/";

pub const LIST: &str = "\
Examples:
  btrfs-to-s3 list
  btrfs-to-s3 list --subvolume data --json

  # On a host without a configuration file
  btrfs-to-s3 list --bucket my-bucket --region eu-central-1 --prefix nas/";

pub const VERIFY: &str = "\
Without --deep, the sizes and checksums that S3 reports are compared with the
manifests. Nothing is thawed.

Examples:
  btrfs-to-s3 verify
  btrfs-to-s3 verify --deep --subvolume data

  # On a host without a configuration file
  btrfs-to-s3 verify --bucket my-bucket --region eu-central-1 --prefix nas/";

pub const RESTORE: &str = "\
Examples:
  # Restore the newest backup
  btrfs-to-s3 restore --subvolume data --target /mnt/restored/data

  # Restore a directory, to any filesystem
  btrfs-to-s3 restore --subvolume data --path photos/2025 --target /tmp/photos

  # Show what would be downloaded and thawed
  btrfs-to-s3 restore --subvolume data --target /mnt/data --dry-run";

pub const THAW_EXAMPLES: &str = "\
The chunks of all backups that the backup is based on are thawed as well.

Examples:
  # Make 'list', 'verify' and 'prune' work again after a rule of the bucket
  # archived manifests
  btrfs-to-s3 thaw --subvolume data --documents

  # Request a thaw and return at once
  btrfs-to-s3 thaw --subvolume data --no-wait-restore

  # Request the cheapest thaw, and wait for it
  btrfs-to-s3 thaw --subvolume data --set restore.restore_tier=Bulk";

pub const LS: &str = "\
Only indexes are read; nothing is thawed.

Examples:
  btrfs-to-s3 ls --subvolume data
  btrfs-to-s3 ls photos/2025 --subvolume data --at 2026-01-31";

pub const FIND: &str = "\
Only indexes are read; nothing is thawed.

Examples:
  btrfs-to-s3 find '*.pdf' --subvolume data
  btrfs-to-s3 find 'photos/**/2025-*' --subvolume data --json";

pub const DIFF: &str = "\
Only indexes are read; nothing is thawed. Between backups of two chains, files
with the same type, size, time, mode and owner count as equal. A directory that
was added or removed stands for all that is in it.

Examples:
  btrfs-to-s3 diff 2026-01-30 2026-01-31 --subvolume data
  btrfs-to-s3 diff 2026-01-30 --subvolume data";

pub const INDEX: &str = "\
An index is stored beside the manifest of its backup. Temporary files are made
in TMPDIR.

Examples:
  btrfs-to-s3 index --subvolume data
  btrfs-to-s3 index --subvolume data --build";
