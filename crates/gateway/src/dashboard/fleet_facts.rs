//! The facts about the fleet beside those of `GET /clients`: what the catalogue can say, and the activity of
//! the last days. Pure, but for [`read`].

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use s3up_core::ClientName;
use s3up_core::wire::{ClientList, ClientStatus, Total};

use crate::clock::Millis;
use crate::database::DatabaseError;
use crate::database::pages::{CatalogueFacts, DayOfClient};
use crate::fleet::incidents::by_subject;
use crate::fleet::overview::overview;
use crate::gateway::Gateway;

/// Days of a sparkline, the present one included.
pub(super) const DAYS: usize = 7;

/// All that the page of the fleet shows.
pub(super) struct FleetFacts {
    pub list: ClientList,
    pub extra: BTreeMap<String, ExtraFacts>,
    pub now: Millis,
}

/// The facts about one client that `GET /clients` does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ExtraFacts {
    pub stored: StoredTotal,
    /// The last days, the oldest first. `None`: the gateway did not know the client yet.
    pub days: [Option<Total>; DAYS],
}

/// The files that a client has stored, as far as the catalogue knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum StoredTotal {
    #[default]
    NotKnown,
    /// The catalogue may lack files.
    AtLeast(Total),
    All(Total),
}

/// Asks the database.
pub(super) async fn read(gateway: &Gateway) -> Result<FleetFacts, DatabaseError> {
    let (database, live) = (gateway.database(), gateway.live());
    let now = database.now();
    let facts = database.client_facts().await?;
    let open = by_subject(database.open_incidents().await?);
    let catalogue = database.catalogue_facts().await?;
    let days = last_days(now);
    let activity = database.activity_since(&days[0].to_string()).await?;
    let created = facts.iter().map(|it| (it.name.clone(), it.created_at)).collect();
    let list = overview(live.clients.policies(), facts, &open, now);
    let extra = extra_facts(&list, &catalogue, &activity, &created, days);
    Ok(FleetFacts { list, extra, now })
}

fn extra_facts(
    list: &ClientList,
    catalogue: &BTreeMap<ClientName, CatalogueFacts>,
    activity: &[DayOfClient],
    created: &BTreeMap<ClientName, Millis>,
    days: [Date; DAYS],
) -> BTreeMap<String, ExtraFacts> {
    let mut of_days: BTreeMap<(&str, &str), Total> = BTreeMap::new();
    for day in activity {
        let total = Total { files: day.stored, bytes: day.stored_bytes };
        of_days.insert((day.client.as_str(), day.day.as_str()), total);
    }
    let extra = list.clients.iter().map(|client| {
        let name = ClientName::parse(&client.name).ok();
        let catalogue = name.as_ref().and_then(|name| catalogue.get(name)).copied();
        let created = name.as_ref().and_then(|name| created.get(name)).map(|at| day_of(*at));
        let facts = ExtraFacts {
            stored: stored(client, catalogue),
            days: days.map(|day| {
                let key = (client.name.as_str(), day.to_string());
                let found = of_days.get(&(key.0, key.1.as_str())).copied();
                let was_known = created.is_some_and(|created| created <= day);
                found.or_else(|| was_known.then(Total::default))
            }),
        };
        (client.name.clone(), facts)
    });
    extra.collect()
}

/// Returns what the catalogue can say of the files of a client.
pub(super) fn stored(client: &ClientStatus, catalogue: Option<CatalogueFacts>) -> StoredTotal {
    match catalogue {
        Some(CatalogueFacts { is_complete: true, .. }) => StoredTotal::All(client.stored),
        Some(CatalogueFacts { has_total: true, .. }) => StoredTotal::AtLeast(client.stored),
        Some(_) | None => StoredTotal::NotKnown,
    }
}

/// Returns the last days, the oldest first.
pub(super) fn last_days(now: Millis) -> [Date; DAYS] {
    let today = day_of(now);
    let mut days = [today; DAYS];
    for (n, day) in days.iter_mut().rev().enumerate() {
        let back = i64::try_from(n).unwrap_or_default();
        *day = today.checked_sub(back.days()).unwrap_or(Date::MIN);
    }
    days
}

fn day_of(at: Millis) -> Date {
    Timestamp::from_millisecond(at).unwrap_or_default().to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use s3up_core::wire::ClientState;

    use super::*;

    const NOON: Millis = 1_769_860_800_000; // 2026-01-31T12:00:00Z
    const DAY: Millis = 86_400_000;

    fn client(name: &str) -> ClientStatus {
        let json = serde_json::json!({"name": name, "state": ClientState::Ok, "since": "",
                                      "stored": {"files": 3, "bytes": 30}});
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_total_counts_only_as_far_as_the_catalogue_knows() {
        let all = Total { files: 3, bytes: 30 };
        let facts = |is_complete, has_total| Some(CatalogueFacts { is_complete, has_total });
        #[rustfmt::skip]
        let cases = [
            (None,                StoredTotal::NotKnown),
            (facts(false, false), StoredTotal::NotKnown),
            (facts(false, true),  StoredTotal::AtLeast(all)),
            (facts(true, true),   StoredTotal::All(all)),
            // It is known that there is no file.
            (facts(true, false),  StoredTotal::All(all)),
        ];
        for (catalogue, want) in cases {
            assert_eq!(stored(&client("web"), catalogue), want, "{catalogue:?}");
        }
    }

    #[test]
    fn a_day_without_activity_is_zero_and_one_before_the_client_is_not_known() {
        let list = ClientList { at: String::new(), clients: vec![client("web")] };
        let day = |day: &str, stored| DayOfClient {
            client: "web".to_owned(),
            day: day.to_owned(),
            stored,
            stored_bytes: 10 * stored,
        };
        let activity = [day("2026-01-28", 5), day("2026-01-31", 2)];
        let web = ClientName::parse("web").unwrap();
        let created = BTreeMap::from([(web, NOON - 2 * DAY)]);

        let found = extra_facts(&list, &BTreeMap::new(), &activity, &created, last_days(NOON));

        let total = |files| Some(Total { files, bytes: 10 * files });
        // 2026-01-25 to 2026-01-31; of the 28th there is activity, so it counts.
        let want = [None, None, None, total(5), total(0), total(0), total(2)];
        assert_eq!(found["web"].days, want);
        assert_eq!(last_days(NOON).map(|day| day.to_string())[0], "2026-01-25");
    }
}
