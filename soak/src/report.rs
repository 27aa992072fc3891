//! The figures of a run, as they are printed.

use std::collections::BTreeMap;
use std::fmt;

/// Facts in the order in which they were found, and the checks that failed.
#[derive(Debug, Default)]
pub struct Report {
    facts: Vec<(String, u64)>,
    failures: Vec<String>,
}

impl Report {
    pub fn fact(&mut self, name: &str, value: u64) {
        self.facts.push((name.to_owned(), value));
    }

    pub fn counts(&mut self, counts: BTreeMap<String, u64>) {
        self.facts.extend(counts);
    }

    /// Records the result of a check.
    pub fn check(&mut self, name: &str, result: anyhow::Result<()>) {
        if let Err(error) = result {
            self.failures.push(format!("{name}: {error:#}"));
        }
    }

    pub fn is_good(&self) -> bool {
        self.failures.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.facts {
            writeln!(f, "{value:>12}  {name}")?;
        }
        for failure in &self.failures {
            writeln!(f, "FAILED: {failure}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_failed_makes_the_report_bad() {
        let mut report = Report::default();
        report.fact("kills", 3);
        report.check("files", Ok(()));
        assert!(report.is_good());

        report.check("memory", Err(anyhow::anyhow!("too large")));

        assert!(!report.is_good());
        assert_eq!(report.to_string(), "           3  kills\nFAILED: memory: too large\n");
    }
}
