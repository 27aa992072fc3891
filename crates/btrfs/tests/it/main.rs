//! Tests of the program from outside: a real btrfs, a real S3 protocol, and the program as a
//! process.

// Futures of tests that await futures of the fixture are nested deeper than the default.
#![recursion_limit = "256"]

mod archived_documents;
mod aws;
mod bad_input;
mod benchmarks;
mod compressed;
mod costs;
mod damage;
mod drills;
mod estimates;
mod fixture;
mod forecasts;
mod foreign;
mod format;
mod freezing;
mod hard_sources;
mod help;
mod inherited;
mod init;
mod kill;
mod kill_random;
mod lists;
mod locks;
mod moves;
mod notify;
mod origins;
mod outputs;
mod plans;
mod policies;
mod proofs;
mod prunes;
mod quick_start;
mod readme;
mod received_source;
mod restore_page;
mod restore_resume;
mod restores;
mod resume;
mod rollbacks;
mod round_trip;
mod send_failures;
mod server_checks;
mod settings;
mod spools;
mod status;
mod stopping;
mod targets;
mod thaws;
mod trees;
mod units;
mod verifies;
mod without_s3;
