//! Tests of the test helpers.

mod filesystem;
mod kill;
mod processes;
mod stand_in;
mod trees;
