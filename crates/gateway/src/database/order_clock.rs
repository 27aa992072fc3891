//! The clock by which the newest version of a file wins: one for all gateways on a database.
//!
//! Clocks of two hosts differ, and an operator or NTP may set one back. So PostgreSQL tells the
//! time, and between its answers the monotonic clock of the gateway does. SQLite has one gateway,
//! whose own clock is read once. A time that an earlier run has written is a lower limit: after a
//! clock was set back, the next upload still wins over the last one.

use std::time::Duration;

use sqlx::{AnyConnection, Executor, Row as _};

use super::connect::Location;
use crate::clock::Millis;

/// Converts a time since the start of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OrderClock {
    /// Time of this clock at the start of the gateway.
    start: Millis,
}

impl OrderClock {
    /// Returns the clock that shows `now` at `elapsed`.
    pub(super) fn new(now: Millis, elapsed: Duration) -> OrderClock {
        OrderClock { start: now.saturating_sub(millis_of(elapsed)) }
    }

    /// Returns the clock that shows `now` at the start of the gateway.
    #[cfg(test)]
    pub(super) const fn shows(now: Millis) -> OrderClock {
        OrderClock { start: now }
    }

    pub(super) fn at(self, elapsed: Duration) -> Millis {
        self.start.saturating_add(millis_of(elapsed))
    }

    /// Returns a clock that shows at least the time of `other`. An answer takes time to arrive, so
    /// of two measurements the later time is the better one; and a clock that goes back would
    /// put a newer version before an older one.
    pub(super) fn at_least(self, other: OrderClock) -> OrderClock {
        OrderClock { start: self.start.max(other.start) }
    }

    /// Asks the database for its time, and for the last time that any gateway wrote. `own` is the
    /// clock of this gateway.
    pub(super) async fn measure(
        connection: &mut AnyConnection,
        location: &Location,
        own: OrderClock,
        elapsed: impl Fn() -> Duration,
    ) -> sqlx::Result<OrderClock> {
        let row = connection.fetch_one("SELECT max(written_at) AS last FROM batches").await?;
        let last: Option<Millis> = row.try_get("last")?;
        let after = |elapsed| last.map(|last| OrderClock::new(last.saturating_add(1), elapsed));
        let (measured, limit) = match location {
            // Earlier runs have ended, so all of this run is later than what they wrote.
            Location::Sqlite(_) => (own, after(Duration::ZERO)),
            // Other gateways run at the same time.
            Location::Postgres(_) => {
                let now =
                    "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS now";
                let now = connection.fetch_one(now).await?.try_get("now")?;
                (OrderClock::new(now, elapsed()), after(elapsed()))
            }
        };
        Ok(limit.map_or(measured, |limit| measured.at_least(limit)))
    }
}

fn millis_of(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_continues_from_its_measurement_and_never_goes_back() {
        let second = Duration::from_secs(1);
        let clock = OrderClock::new(100_000, 10 * second);

        assert_eq!((clock.at(10 * second), clock.at(11 * second)), (100_000, 101_000));
        let (earlier, later) =
            (OrderClock::new(99_000, 10 * second), OrderClock::new(200_000, second));
        assert_eq!(clock.at_least(earlier), clock);
        assert_eq!(clock.at_least(later), later);
    }
}
