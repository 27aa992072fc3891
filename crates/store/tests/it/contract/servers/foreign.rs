//! Ceph RGW, Swift, SeaweedFS and rclone, which `./check --full` installs.

use s3up_testkit::{Foreign, ForeignServer};

use super::{Running, ServerName, with_new_buckets};
use crate::contract::server::Server;

pub async fn start_or_print_why_not(foreign: Foreign) -> Option<Running<ForeignServer>> {
    let running = foreign.start_or_print_why_not().await?;
    let endpoint = running.endpoint.clone();
    let server = Server::new(endpoint, Foreign::REGION, &running.key_id, &running.secret);
    let target = with_new_buckets(name(foreign), server).await;
    Some(Running { target, stopper: running })
}

fn name(foreign: Foreign) -> ServerName {
    match foreign {
        Foreign::Rgw => ServerName::Rgw,
        Foreign::Swift => ServerName::Swift,
        Foreign::SeaweedFs => ServerName::SeaweedFs,
        Foreign::Rclone => ServerName::Rclone,
    }
}

impl Running<ForeignServer> {
    pub async fn stop(self) {
        self.stopper.stop().await;
    }
}
