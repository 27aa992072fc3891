//! The abilities of the terminal of this process.

/// Returns true for a terminal that moves no cursor and shows no colours.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}
