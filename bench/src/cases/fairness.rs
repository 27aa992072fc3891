//! The time of the requests of one client, alone and beside a client with a thousand requests in flight.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use super::gateway::{ADMIN_KEY, API_KEY, OTHER_KEY, start_gateway_with};
use crate::console;
use crate::latencies::{LatencyReport, LatencyRow};
use crate::load::latency::{Call, QuietClient, metric};
use crate::server::Server;
use crate::workspace::Workspace;

/// Requests of the busy client in flight.
const IN_FLIGHT: usize = 1000;
/// Share of them that has to be there before the other client begins: some are always on their way.
const IN_FLIGHT_MIN: f64 = IN_FLIGHT as f64 * 0.8;
/// Requests that are measured in each round.
const MEASURED: usize = 400;
/// Times after which S3 answers: of one that is near, and of one that needs no time, with which the processes only
/// compete for the processor.
const S3_LATENCIES_MS: [u64; 2] = [20, 0];
/// Maximum time until the requests of the busy client are in flight.
const START_MAX: Duration = Duration::from_secs(30);

/// The requests of the busy client.
const BUSY: [(&str, &[&str]); 2] = [("uploads", &[]), ("GET /exists", &["--exists"])];

pub fn beside_a_busy_client(workspace: &Workspace) -> anyhow::Result<LatencyReport> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("start the runtime")?;
    let mut rows = Vec::new();
    for latency_ms in S3_LATENCIES_MS {
        let s3 = workspace.null_server(&["--latency-ms", &latency_ms.to_string()])?;
        let gateway = start_gateway_with(workspace, &s3, None)?;
        rows.extend(runtime.block_on(measure(workspace, &gateway, latency_ms))?);
    }
    Ok(LatencyReport {
        name: "fairness",
        title: format!(
            "Requests of one client, one after the other, alone and beside another client with {IN_FLIGHT} requests in \
             flight, with the default limits. The busy client is a process of the lowest priority; it, the gateway \
             and the null S3 server share the processor of this machine."
        ),
        rows,
    })
}

async fn measure(
    workspace: &Workspace,
    gateway: &Server,
    latency_ms: u64,
) -> anyhow::Result<Vec<LatencyRow>> {
    let mut rows: Vec<_> = Call::ALL.map(|call| LatencyRow::alone(latency_ms, call.name())).into();
    for (busy, _) in BUSY {
        rows.extend(Call::ALL.map(|call| LatencyRow::beside(latency_ms, call.name(), busy)));
    }
    for round in 0..workspace.rounds {
        let (alone, beside) = rows.split_at_mut(Call::ALL.len());
        measure_calls(gateway, alone).await?;
        for ((_, options), rows) in BUSY.iter().zip(beside.chunks_mut(Call::ALL.len())) {
            let mut busy = BusyClient::start(workspace, gateway, options)?;
            wait_until(gateway, |in_flight| in_flight >= IN_FLIGHT_MIN).await?;
            measure_calls(gateway, rows).await?;
            busy.still_runs()?;
            drop(busy);
            // The request that asks for it is one.
            wait_until(gateway, |in_flight| in_flight <= 1.0).await?;
        }
        console::status(&format!("  round {}, S3 answers after {latency_ms} ms", round + 1));
    }
    Ok(rows)
}

/// Measures a round of each call.
async fn measure_calls(gateway: &Server, rows: &mut [LatencyRow]) -> anyhow::Result<()> {
    let mut quiet = QuietClient::connect(&gateway.url, OTHER_KEY).await?;
    for (call, row) in Call::ALL.into_iter().zip(rows) {
        row.times.extend(quiet.times(call, MEASURED).await?);
        row.in_flight.push(in_flight(gateway).await? - 1.0);
    }
    Ok(())
}

async fn in_flight(gateway: &Server) -> anyhow::Result<f64> {
    metric(&gateway.url, ADMIN_KEY, "s3up_requests_in_flight").await
}

async fn wait_until(gateway: &Server, is_reached: impl Fn(f64) -> bool) -> anyhow::Result<()> {
    const PAUSE: Duration = Duration::from_millis(100);
    for _ in 0..START_MAX.as_millis() / PAUSE.as_millis() {
        if is_reached(in_flight(gateway).await?) {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    bail!("the number of requests in flight is not the expected one after {START_MAX:?}")
}

/// The process of the busy client. Dropped, it ends.
struct BusyClient(Child);

impl BusyClient {
    fn start(
        workspace: &Workspace,
        gateway: &Server,
        options: &[&str],
    ) -> anyhow::Result<BusyClient> {
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(workspace.program("s3up-bench"));
        command.args(["put", "--gateway", &gateway.url, "--api-key", API_KEY, "--retry-refused"]);
        // It never ends by itself.
        command.args(["--count", &u64::MAX.to_string(), "--concurrency", &IN_FLIGHT.to_string()]);
        command.args(["--directory", "busy"]).args(options);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(BusyClient(command.spawn().with_context(|| format!("start {command:?}"))?))
    }

    /// Fails if the process has ended, for its requests were not there then.
    fn still_runs(&mut self) -> anyhow::Result<()> {
        let ended = self.0.try_wait().context("ask for the busy client")?;
        ended.map_or(Ok(()), |status| bail!("the busy client has ended: {status}"))
    }
}

impl Drop for BusyClient {
    fn drop(&mut self) {
        if self.0.kill().and_then(|()| self.0.wait()).is_err() {
            console::status("cannot end the busy client");
        }
    }
}
