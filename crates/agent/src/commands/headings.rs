//! Headings of groups of options in the help.

pub(super) const GLOBAL_OPTIONS: &str = "Global options";

pub(super) const OUTPUT: &str = "Output";
