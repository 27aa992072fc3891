//! Time and memory of an upload by the length of the stream, and by the number of
//! parts in flight.

use crate::measure::{Contender, run_in_turn};
use crate::report::{Rate, Report};
use crate::server::Server;
use crate::units::GIB;
use crate::workspace::Workspace;

/// Lengths of the streams in GiB.
const LENGTHS: [u64; 4] = [1, 4, 16, 50];

fn stream<'a>(
    workspace: &'a Workspace,
    s3: &'a Server,
    name: String,
    gib: u64,
    part_mib: u64,
    in_flight: usize,
) -> Contender<'a> {
    Contender::new(name, gib * GIB, move |_| {
        let mut command = workspace.command("s3up-bench", &s3.url);
        command.args(["stream", "--endpoint", &s3.url, "--gib", &gib.to_string()]);
        command.args(["--part-mib", &part_mib.to_string()]);
        command.args(["--in-flight", &in_flight.to_string()]);
        Ok(command)
    })
}

pub fn length(workspace: &Workspace) -> anyhow::Result<Report> {
    let s3 = workspace.null_server(&[])?;
    let contenders = LENGTHS.map(|gib| stream(workspace, &s3, format!("{gib} GiB"), gib, 32, 4));
    Ok(Report {
        name: "scale",
        title: "Streams of several lengths through the store, 4 parts of 32 MiB in flight: \
                speed and memory must not change."
            .to_owned(),
        rows: run_in_turn(&contenders, workspace.rounds)?,
        missing: Vec::new(),
        rate: Rate::MibPerSecond,
    })
}

pub fn latency(workspace: &Workspace) -> anyhow::Result<Report> {
    let s3 = workspace.null_server(&["--latency-ms", "50"])?;
    let contenders = [1, 4, 8].map(|in_flight| {
        stream(workspace, &s3, format!("{in_flight} in flight"), workspace.gib, 8, in_flight)
    });
    Ok(Report {
        name: "latency",
        title: format!(
            "A stream of {} GiB in parts of 8 MiB, each answered after 50 ms. (Parts of 32 MiB \
             take as long to hash and send, so that they would hide the latency.)",
            workspace.gib
        ),
        rows: run_in_turn(&contenders, workspace.rounds)?,
        missing: Vec::new(),
        rate: Rate::MibPerSecond,
    })
}
