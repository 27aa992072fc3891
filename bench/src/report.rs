//! The measurements of a case as a Markdown table and as JSON.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};

use crate::measure::{Measurement, Row};
use crate::stats::Spread;
use crate::units::MIB;

/// The results of a case.
#[derive(Debug)]
pub struct Report {
    pub name: &'static str,
    pub title: String,
    /// The first row is the baseline of the comparison.
    pub rows: Vec<Row>,
    /// Peers that are not installed, and features that the machine lacks.
    pub missing: Vec<String>,
    pub rate: Rate,
}

/// The unit of the speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    MibPerSecond,
    ObjectsPerSecond,
}

/// Summary of all runs of a contender.
#[derive(Debug, Serialize)]
struct Summary {
    name: String,
    wall_seconds: Spread,
    cpu_seconds: Spread,
    peak_rss_bytes: Spread,
    server_cpu_seconds: Spread,
    server_peak_rss_bytes: Spread,
    /// Median wall time divided by that of the first row.
    wall_ratio: f64,
    per_second: f64,
}

impl Report {
    fn summaries(&self) -> Vec<Summary> {
        let mut summaries: Vec<Summary> = Vec::new();
        for row in &self.rows {
            let spread = |of: &dyn Fn(&Measurement) -> f64| Spread::of(row.runs.iter().map(of));
            let Some(wall_seconds) = spread(&|run| run.wall_seconds) else { continue };
            let first = summaries.first().map_or(wall_seconds, |first| first.wall_seconds);
            let of = |of: &dyn Fn(&Measurement) -> f64| spread(of).unwrap_or(wall_seconds);
            let amount = match self.rate {
                Rate::MibPerSecond => row.bytes as f64 / MIB as f64,
                Rate::ObjectsPerSecond => row.objects as f64,
            };
            summaries.push(Summary {
                name: row.name.clone(),
                wall_seconds,
                cpu_seconds: of(&|run| run.cpu_seconds),
                peak_rss_bytes: of(&|run| run.peak_rss_bytes as f64),
                server_cpu_seconds: of(&|run| run.server_cpu_seconds),
                server_peak_rss_bytes: of(&|run| run.server_peak_rss_bytes as f64),
                wall_ratio: wall_seconds.median / first.median,
                per_second: amount / wall_seconds.median,
            });
        }
        summaries
    }

    pub fn markdown(&self) -> String {
        let summaries = self.summaries();
        let has_servers = summaries.iter().any(|row| row.server_peak_rss_bytes.max > 0.0);
        let unit = match self.rate {
            Rate::MibPerSecond => "MiB/s",
            Rate::ObjectsPerSecond => "objects/s",
        };
        let mut text = format!("### {}\n\n{}\n\n", self.name, self.title);
        let server_columns = if has_servers { " server CPU s | server RSS MiB |" } else { "" };
        let server_rules = if has_servers { "---:|---:|" } else { "" };
        line(
            &mut text,
            format_args!(
                "| | wall s (min–max) | x the first | {unit} | CPU s (min–max) | CPU s over the first | peak RSS MiB |{server_columns}"
            ),
        );
        line(&mut text, format_args!("|---|---:|---:|---:|---:|---:|---:|{server_rules}"));
        let first_cpu = summaries.first().map_or(0.0, |first| first.cpu_seconds.median);
        for row in &summaries {
            let servers = format!(
                " {:.1} | {:.0} |",
                row.server_cpu_seconds.median,
                row.server_peak_rss_bytes.max / MIB as f64
            );
            line(
                &mut text,
                format_args!(
                    "| {} | {} | {:.2} | {:.0} | {} | {:.1} | {:.0} |{}",
                    row.name,
                    with_range(row.wall_seconds),
                    row.wall_ratio,
                    row.per_second,
                    with_range(row.cpu_seconds),
                    row.cpu_seconds.median - first_cpu,
                    row.peak_rss_bytes.max / MIB as f64,
                    if has_servers { &servers } else { "" },
                ),
            );
        }
        if !self.missing.is_empty() {
            line(&mut text, format_args!("\nNot available here: {}.", self.missing.join(", ")));
        }
        text
    }

    pub fn json(&self) -> Value {
        json!({
            "name": self.name,
            "title": self.title,
            "rows": self.summaries(),
            "missing": self.missing,
        })
    }
}

fn with_range(spread: Spread) -> String {
    format!("{:.2} ({:.2}–{:.2})", spread.median, spread.min, spread.max)
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_compares_each_row_with_the_first() {
        let run = |wall_seconds, cpu_seconds| Measurement {
            wall_seconds,
            cpu_seconds,
            peak_rss_bytes: 3 << 20,
            server_cpu_seconds: 0.0,
            server_peak_rss_bytes: 0,
        };
        let row =
            |name: &str, runs| Row { name: name.to_owned(), bytes: 8 << 20, objects: 1, runs };
        let report = Report {
            name: "case",
            title: "title".to_owned(),
            rows: vec![
                row("base", vec![run(2.0, 1.0), run(1.0, 1.0), run(9.0, 2.0)]),
                row("ours", vec![run(4.0, 4.0)]),
            ],
            missing: vec!["rclone".to_owned()],
            rate: Rate::MibPerSecond,
        };
        let text = report.markdown();
        assert!(
            text.contains("| base | 2.00 (1.00–9.00) | 1.00 | 4 | 1.00 (1.00–2.00) | 0.0 | 3 |"),
            "{text}"
        );
        assert!(
            text.contains("| ours | 4.00 (4.00–4.00) | 2.00 | 2 | 4.00 (4.00–4.00) | 3.0 | 3 |"),
            "{text}"
        );
        assert!(text.ends_with("Not available here: rclone.\n"), "{text}");
        assert!(!text.contains("server"), "{text}");
    }
}
