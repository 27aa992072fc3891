//! The memory of the dashboard: its sessions, and the facts that no page waits for.

use s3up_core::Clock;

use super::bucket_watch::BucketWatch;
use super::rates::RecentWork;
use super::sessions::Sessions;

pub(crate) struct DashboardState {
    pub sessions: Sessions,
    pub work: RecentWork,
    pub bucket: BucketWatch,
}

impl DashboardState {
    pub(crate) fn new(clock: Clock) -> DashboardState {
        DashboardState {
            sessions: Sessions::new(clock),
            work: RecentWork::default(),
            bucket: BucketWatch::default(),
        }
    }
}
