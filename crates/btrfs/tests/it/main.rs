//! What the program does, seen from outside: a real btrfs, a real bucket, the
//! program as a process.

mod aws;
mod bad_input;
mod damage;
mod fixture;
mod kill;
mod round_trip;
mod send_failures;
mod stopping;
