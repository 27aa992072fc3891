//! The times of requests as a Markdown table and as JSON: median and 99th percentile.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

/// The results of a case that measures single requests.
#[derive(Debug)]
pub struct LatencyReport {
    pub name: &'static str,
    pub title: String,
    pub rows: Vec<LatencyRow>,
}

/// The times of one kind of request in one situation.
#[derive(Debug)]
pub struct LatencyRow {
    s3_latency_ms: u64,
    call: &'static str,
    /// The requests of the busy client. `None`: there is no other client.
    beside: Option<&'static str>,
    pub times: Vec<Duration>,
    /// Number of requests of the busy client that were in flight at the end of each round.
    pub in_flight: Vec<f64>,
}

/// Median and 99th percentile in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Percentiles {
    median: f64,
    p99: f64,
}

impl LatencyRow {
    pub fn alone(s3_latency_ms: u64, call: &'static str) -> LatencyRow {
        LatencyRow { s3_latency_ms, call, beside: None, times: Vec::new(), in_flight: Vec::new() }
    }

    pub fn beside(s3_latency_ms: u64, call: &'static str, busy: &'static str) -> LatencyRow {
        LatencyRow { beside: Some(busy), ..LatencyRow::alone(s3_latency_ms, call) }
    }

    fn percentiles(&self) -> Option<Percentiles> {
        let mut times: Vec<_> = self.times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
        times.sort_by(f64::total_cmp);
        let at = |part: usize| times.get(times.len() * part / 100).copied();
        Some(Percentiles { median: at(50)?, p99: at(99)? })
    }

    /// Returns the number of requests that were in flight at the end of the round with the fewest.
    fn in_flight_min(&self) -> f64 {
        self.in_flight.iter().copied().min_by(f64::total_cmp).unwrap_or_default()
    }
}

impl LatencyReport {
    /// Returns each row with its percentiles and those of the same request alone.
    fn compared(&self) -> impl Iterator<Item = (&LatencyRow, Percentiles, Percentiles)> {
        self.rows.iter().filter_map(|row| {
            let alone = self.rows.iter().find(|other| {
                other.beside.is_none()
                    && (other.s3_latency_ms, other.call) == (row.s3_latency_ms, row.call)
            });
            Some((row, row.percentiles()?, alone?.percentiles()?))
        })
    }

    pub fn markdown(&self) -> String {
        let mut text = format!(
            "### {}\n\n{}\n\n| S3 answers after | request | beside | in flight | median ms | p99 ms | \
             median x alone | p99 x alone |\n|---:|---|---|---:|---:|---:|---:|---:|\n",
            self.name, self.title
        );
        for (row, found, alone) in self.compared() {
            writeln!(
                text,
                "| {} ms | {} | {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} |",
                row.s3_latency_ms,
                row.call,
                row.beside.unwrap_or("–"),
                row.in_flight_min(),
                found.median,
                found.p99,
                found.median / alone.median,
                found.p99 / alone.p99
            )
            .expect("writing to a String does not fail");
        }
        text
    }

    pub fn json(&self) -> Value {
        let rows = self.compared().map(|(row, found, alone)| {
            json!({
                "s3_latency_ms": row.s3_latency_ms,
                "call": row.call,
                "beside": row.beside,
                "requests": row.times.len(),
                "in_flight": row.in_flight_min(),
                "median_ms": found.median,
                "p99_ms": found.p99,
                "p99_ratio": found.p99 / alone.p99,
            })
        });
        json!({"name": self.name, "title": self.title, "rows": rows.collect::<Vec<_>>()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_compared_with_the_same_request_alone() {
        let of = |row: LatencyRow, times: std::ops::RangeInclusive<u64>, in_flight: &[f64]| {
            let times = times.rev().map(Duration::from_millis).collect();
            LatencyRow { times, in_flight: in_flight.to_vec(), ..row }
        };
        let report = LatencyReport {
            name: "case",
            title: "title".to_owned(),
            rows: vec![
                of(LatencyRow::alone(20, "GET"), 1..=100, &[0.0]),
                of(LatencyRow::alone(0, "GET"), 1..=2, &[0.0]),
                of(LatencyRow::beside(20, "GET", "uploads"), 101..=300, &[999.0, 990.0]),
                LatencyRow::beside(0, "GET", "uploads"),
            ],
        };
        let text = report.markdown();
        let rows: Vec<_> = text.lines().skip(6).collect();
        #[rustfmt::skip]
        assert_eq!(rows, [
            "| 20 ms | GET | – | 0 | 51.00 | 100.00 | 1.00 | 1.00 |",
            "| 0 ms | GET | – | 0 | 2.00 | 2.00 | 1.00 | 1.00 |",
            "| 20 ms | GET | uploads | 990 | 201.00 | 299.00 | 3.94 | 2.99 |",
        ]);
        assert_eq!(report.json()["rows"][2]["p99_ratio"], 2.99);
    }
}
