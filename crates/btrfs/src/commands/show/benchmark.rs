//! Prints the results of a benchmark to stdout, as a table or as JSON.

use btrfs_to_s3::benchmark::{BenchmarkReport, Measurement};
use s3up_cli::table;
use s3up_core::Size;
use serde::Serialize;

#[derive(Serialize)]
struct Line {
    what: &'static str,
    concurrency: Option<usize>,
    bytes: u64,
    elapsed_seconds: f64,
    bytes_per_second: f64,
}

#[derive(Serialize)]
pub struct Lines {
    measured: Vec<Line>,
    concurrency: usize,
    reason: String,
}

pub fn to_table(report: &BenchmarkReport) -> String {
    let rows = report.measured.iter().map(|found| {
        let throughput = found.throughput;
        [
            found.phase.as_str().to_owned(),
            found.concurrency.map_or_else(|| "-".to_owned(), |count| count.to_string()),
            Size(throughput.bytes).to_string(),
            format!("{:.2}", throughput.elapsed.as_secs_f64()),
            throughput.to_string(),
        ]
    });
    let table = table(["MEASURED", "CONCURRENCY", "SIZE", "SECONDS", "THROUGHPUT"], rows);
    format!("{table}\n{}\n", report.suggestion)
}

impl Lines {
    pub fn of(report: &BenchmarkReport) -> Lines {
        let line = |found: &Measurement| Line {
            what: found.phase.as_str(),
            concurrency: found.concurrency,
            bytes: found.throughput.bytes,
            elapsed_seconds: found.throughput.elapsed.as_secs_f64(),
            bytes_per_second: found.throughput.bytes_per_second().round(),
        };
        Lines {
            measured: report.measured.iter().map(line).collect(),
            concurrency: report.suggestion.concurrency,
            reason: report.suggestion.to_string(),
        }
    }
}
