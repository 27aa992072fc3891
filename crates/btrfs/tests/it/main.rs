//! What the program does, seen from outside: a real btrfs, a real bucket, the
//! program as a process.

mod aws;
mod bad_input;
mod benchmarks;
mod compressed;
mod damage;
mod drills;
mod estimates;
mod fixture;
mod format;
mod freezing;
mod kill;
mod kill_random;
mod lists;
mod locks;
mod notify;
mod plans;
mod proofs;
mod prunes;
mod restore_page;
mod resume;
mod round_trip;
mod send_failures;
mod settings;
mod spools;
mod status;
mod stopping;
mod thaws;
mod trees;
mod units;
mod verifies;
mod without_s3;
