//! The limit of open files, which includes connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to `needed`, as far as the hard limit allows, and never
/// lowers it. Returns the limit that holds then.
pub fn raise_open_files(needed: u64) -> u64 {
    let now = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: Some(soft_limit(now, needed)), ..now };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current.unwrap_or(u64::MAX),
        Err(_) => now.current.unwrap_or(u64::MAX),
    }
}

/// `None` in a limit means that there is none.
fn soft_limit(now: Rlimit, needed: u64) -> u64 {
    let (soft, hard) = (now.current.unwrap_or(u64::MAX), now.maximum.unwrap_or(u64::MAX));
    soft.max(needed.min(hard))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_up_to_the_hard_one() {
        #[rustfmt::skip]
        let cases = [
            // soft        hard          needed   soft then
            (Some(1024),   Some(524_288), 20_480, 20_480),
            (Some(1024),   Some(4096),    20_480, 4096),
            (Some(30_000), Some(524_288), 20_480, 30_000),
            (Some(1024),   None,          20_480, 20_480),
            (None,         None,          20_480, u64::MAX),
        ];
        for (current, maximum, needed, want) in cases {
            assert_eq!(soft_limit(Rlimit { current, maximum }, needed), want, "{current:?}");
        }
    }
}
