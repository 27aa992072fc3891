//! How time and memory grow: with the length of a stream, with the parts in
//! flight.

use crate::measure::{Contender, in_turn};
use crate::report::{Rate, Report};
use crate::world::{GIB, Server, World};

/// GiB.
const LENGTHS: [u64; 4] = [1, 4, 16, 50];

fn stream<'a>(
    world: &'a World,
    sink: &'a Server,
    name: String,
    gib: u64,
    part_mib: u64,
    in_flight: usize,
) -> Contender<'a> {
    Contender::new(name, gib * GIB, move |_| {
        let mut command = world.command("s3up-bench", &sink.url);
        command.args(["stream", "--endpoint", &sink.url, "--gib", &gib.to_string()]);
        command.args(["--part-mib", &part_mib.to_string()]);
        command.args(["--in-flight", &in_flight.to_string()]);
        Ok(command)
    })
}

pub fn length(world: &World) -> anyhow::Result<Report> {
    let sink = world.sink(&[])?;
    let contenders = LENGTHS.map(|gib| stream(world, &sink, format!("{gib} GiB"), gib, 32, 4));
    Ok(Report {
        name: "scale",
        title: "Streams of several lengths through the engine, 4 parts of 32 MiB in flight: \
                speed and memory must stay the same."
            .to_owned(),
        rows: in_turn(&contenders, world.rounds)?,
        missing: Vec::new(),
        rate: Rate::MibPerSecond,
    })
}

pub fn latency(world: &World) -> anyhow::Result<Report> {
    let sink = world.sink(&["--latency-ms", "50"])?;
    let contenders = [1, 4, 8].map(|in_flight| {
        stream(world, &sink, format!("{in_flight} in flight"), world.gib, 8, in_flight)
    });
    Ok(Report {
        name: "latency",
        title: format!(
            "A stream of {} GiB in parts of 8 MiB, where every answer takes 50 ms. (Parts of 32 MiB \
             take as long to hash and send as they wait here, so that latency hardly shows.)",
            world.gib
        ),
        rows: in_turn(&contenders, world.rounds)?,
        missing: Vec::new(),
        rate: Rate::MibPerSecond,
    })
}
