//! The frames of any body end, take no more memory than a header, and those of a valid body are read as they were
//! written.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Only these modules: the whole gateway would depend on the AWS SDK.
#[path = "../../crates/gateway/src/request/frames.rs"]
#[allow(unreachable_pub, dead_code, reason = "it is public in the gateway, which uses all of it")]
mod frames;
#[path = "../../crates/gateway/src/request/integers.rs"]
#[allow(unreachable_pub, dead_code, reason = "it is public in the gateway, which uses all of it")]
mod integers;

use frames::Frames;

fuzz_target!(|body: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut read = Vec::new();
        let mut frames = Frames::new(body);
        while let Ok(Some(header)) = frames.next_header().await {
            let size = header.size;
            read.push(header);
            if frames.skip(size).await.is_err() {
                break;
            }
        }
        let written: Vec<u8> = read
            .iter()
            .flat_map(|file| {
                let head = file.to_frame_head();
                head.into_iter().chain((0..file.size.min(1000)).map(|_| 7))
            })
            .collect();
        let mut frames = Frames::new(&written[..]);
        for file in read.iter().take_while(|file| file.size <= 1000) {
            let header = frames.next_header().await.expect("a valid frame").expect("a frame");
            assert_eq!(header, *file);
            frames.skip(file.size).await.expect("its bytes");
        }
    });
});
