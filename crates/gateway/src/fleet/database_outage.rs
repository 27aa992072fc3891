//! Decides when the operator is alerted that the database fails. Such an alert cannot wait in the database. Pure.

use crate::alert::{Alert, AlertKind, Topic, incident_id};
use crate::clock::Millis;

/// Time after which an outage is an alert. A restart of PostgreSQL takes less.
const ALERT_AFTER: Millis = 5 * 60 * 1000;

/// The current outage, and whether its alert was delivered.
#[derive(Debug, Default)]
pub(super) struct DatabaseOutage {
    /// Begin of the outage.
    since: Option<Millis>,
    is_delivered: bool,
}

impl DatabaseOutage {
    /// Returns the alert that has to be sent now.
    pub(super) fn alert(&mut self, is_ready: bool, now: Millis) -> Option<Alert> {
        if is_ready {
            let since = self.since?;
            if self.is_delivered {
                return Some(alert(true, since, now));
            }
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(now);
        (!self.is_delivered && now - since >= ALERT_AFTER).then(|| alert(false, since, now))
    }

    /// Notes that the receiver has taken `alert`.
    pub(super) fn delivered(&mut self, alert: &Alert) {
        self.is_delivered = matches!(alert.kind, AlertKind::Incident { is_over: false, .. });
        if !self.is_delivered {
            self.since = None;
        }
    }
}

fn alert(is_over: bool, since: Millis, now: Millis) -> Alert {
    let reason = "it has not answered for 5 minutes; uploads continue, and records of them may be lost \
                  (event `database_write_failed`)";
    Alert {
        id: incident_id(Topic::Database, "database", is_over, since),
        kind: AlertKind::Incident { topic: Topic::Database, is_over },
        subject: "database of the gateway".to_owned(),
        reason: (!is_over).then(|| reason.to_owned()),
        at: now,
        attempts: 0,
        tried_at: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_of_five_minutes_is_delivered_once_and_so_is_its_end() {
        let minute = 60_000;
        let mut outage = DatabaseOutage::default();
        assert_eq!(outage.alert(true, 0), None);
        assert_eq!(outage.alert(false, minute), None);
        assert_eq!(outage.alert(true, 2 * minute), None, "a short one is no alert");
        assert_eq!(outage.alert(false, 3 * minute), None);
        assert_eq!(outage.alert(false, 7 * minute), None);
        let begun = outage.alert(false, 8 * minute).unwrap();
        assert!(outage.alert(false, 9 * minute).is_some(), "it was not taken");
        outage.delivered(&begun);
        assert_eq!(outage.alert(false, 10 * minute), None);
        let over = outage.alert(true, 11 * minute).unwrap();
        assert_eq!(over.kind, AlertKind::Incident { topic: Topic::Database, is_over: true });
        assert!(outage.alert(true, 12 * minute).is_some(), "it was not taken");
        outage.delivered(&over);
        assert_eq!(outage.alert(true, 13 * minute), None);
    }
}
