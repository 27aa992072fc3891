use super::*;

#[test]
fn an_alert_is_a_change_for_the_worse_or_the_end_of_an_incident() {
    use ClientState::{Degraded, Failing, Late, Never, Ok, Silent};
    #[rustfmt::skip]
    let cases = [
        (None,           Ok,       false),
        (None,           Never,    false),
        (None,           Failing,  true),
        (Some(Never),    Ok,       false),
        (Some(Never),    Silent,   true),
        (Some(Ok),       Degraded, true),
        (Some(Degraded), Late,     true),
        (Some(Late),     Silent,   true),
        (Some(Silent),   Late,     false),
        (Some(Late),     Degraded, false),
        (Some(Silent),   Ok,       true),
        (Some(Degraded), Ok,       true),
    ];
    for (before, after, want) in cases {
        assert_eq!(is_alert(before, after), want, "{before:?} {after:?}");
    }
}

fn alert(attempts: u32) -> Alert {
    Alert {
        id: "web-5-silent".to_owned(),
        kind: AlertKind::State { state: ClientState::Silent, before: Some(ClientState::Ok) },
        subject: "web".to_owned(),
        reason: Some("no heartbeat for 26 h".to_owned()),
        at: 5,
        attempts,
        tried_at: 1000,
    }
}

#[test]
fn attempts_get_rarer_and_never_end() {
    for (attempts, wait) in [(1, 15), (2, 30), (3, 60), (6, 480), (7, 600), (1000, 600)] {
        let alert = alert(attempts);
        assert!(!alert.is_due(1000 + wait * 1000 - 1), "{attempts}");
        assert!(alert.is_due(1000 + wait * 1000), "{attempts}");
    }
    assert!(alert(0).is_due(0));
}

#[test]
fn the_text_says_what_happened() {
    let silent = alert(0);
    let before = Some(ClientState::Silent);
    let state = ClientState::Ok;
    let ended = Alert { kind: AlertKind::State { state, before }, reason: None, ..silent.clone() };
    let incident = |subject: &str, topic, is_over| Alert {
        kind: AlertKind::Incident { topic, is_over },
        subject: subject.to_owned(),
        reason: (!is_over).then(|| "a reason".to_owned()),
        ..silent.clone()
    };
    let report = Alert {
        kind: AlertKind::DailyReport,
        subject: String::new(),
        reason: Some("1 of 1 client is safe\n\nweb: ok\n".to_owned()),
        ..silent.clone()
    };
    #[rustfmt::skip]
    let cases = [
        (silent.clone(), Some("web"), "web is silent: no heartbeat for 26 h", "s3up: web is silent"),
        (ended,          Some("web"), "web is ok again (it was silent)",      "s3up: web is ok"),
        (incident("web", Topic::Quota, false),     Some("web"), "web: a reason", "s3up: web: quota"),
        (incident("web", Topic::Quota, true),      Some("web"), "web: the incident `quota` is over", "s3up: web: quota is over"),
        (incident("gw1", Topic::Certificate, false), None,      "gw1: a reason", "s3up: gw1: certificate"),
        (report,         None, "1 of 1 client is safe\n\nweb: ok",            "s3up: 1 of 1 client is safe"),
    ];
    for (alert, client, text, subject) in cases {
        let body = alert.body();
        assert_eq!((body.client, body.text.as_str()), (client, text));
        assert_eq!(alert.mail_subject(), subject);
    }
    assert_eq!(silent.body().at, "1970-01-01T00:00:00Z");
}

#[test]
fn each_begin_and_end_of_an_incident_has_its_own_name() {
    let begun = incident_id(Topic::Versions, "b/sites/", false, 7);
    assert_eq!(begun, "b_sites_-7-versions-begun");
    assert_ne!(begun, incident_id(Topic::Versions, "b/sites/", true, 7));
    for topic in Topic::ALL {
        assert_eq!(Topic::parse(topic.as_str()), Some(topic));
    }
}
