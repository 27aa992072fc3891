//! Uploads that are cut: nothing of them is visible, and they are sent again from their first byte.

use s3up_devstore::Op;

use crate::faulty_proxy::{Fault, FaultyProxy};
use crate::fixture::{Host, MIB, World, noise, until};

const PART: usize = 8 * MIB;
const BYTES: usize = 20 * MIB;

#[tokio::test]
async fn an_upload_that_is_cut_at_any_byte_is_sent_again_whole() {
    let world = World::start().await;
    let proxy = FaultyProxy::start(world.address()).await;
    let host = Host::new(&proxy.url());
    let direct = Host::at(&host, &world.url());
    host.write("long", noise(BYTES));
    let agent = host.started().await;
    host.until_stored("long", noise(BYTES)).await;
    let mut before = noise(BYTES);
    for (n, bytes) in [0, 1, PART - 1, PART, PART + 1, 2 * PART, BYTES - 1].into_iter().enumerate()
    {
        proxy.set(Fault::CutsBody { method: "PUT", bytes });
        let mut content = noise(BYTES);
        content[..8].copy_from_slice(&n.to_le_bytes());

        host.write("long", &content);

        until("it was cut", async || proxy.cuts() > 0).await;
        assert!(direct.content("long").await == before, "cut after {bytes} bytes: it is visible");
        proxy.set(Fault::None);
        host.until_stored("long", &content).await;
        assert!(host.content("long").await == content, "cut after {bytes} bytes");
        before = content;
    }
    let status = host.until_nothing_is_pending().await;
    assert_eq!((status.total.protected.files, status.total.problems.files), (2, 0));
    agent.stop().await;
}

#[tokio::test]
async fn an_upload_that_ends_with_its_gateway_is_sent_again_whole() {
    let mut world = World::start().await;
    let host = Host::new(&world.url());
    let agent = host.started().await;
    for part in 1..=2 {
        let mut content = noise(BYTES);
        content[0] = part;
        let (parts, done) = (world.calls(Op::UploadPart), world.calls(Op::CompleteMultipartUpload));
        world.slow(std::time::Duration::from_millis(200));
        host.write("long", &content);
        until("a part is stored", async || world.calls(Op::UploadPart) > parts).await;

        world.gateway_down().await;
        assert_eq!(world.calls(Op::CompleteMultipartUpload), done, "the upload had ended");
        world.slow(std::time::Duration::ZERO);
        world.gateway_up().await;

        host.until_stored("long", &content).await;
        assert!(host.content("long").await == content);
    }
    agent.stop().await;
}
