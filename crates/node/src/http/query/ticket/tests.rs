#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn ticket(query: &str) -> Ticket {
    Ticket {
        job: "4b1d".to_owned(),
        host: "a".to_owned(),
        incarnation: "1".to_owned(),
        asked: Some(Asked {
            query: query.to_owned(),
            start_ms: -5,
            end_ms: i64::MAX,
            now_ms: 7,
        }),
    }
}

#[test]
fn a_name_leads_back_to_what_is_asked() {
    let ticket = ticket("\u{fc} | count() // +/=?&");
    let name = ticket.name();
    assert!(
        name.bytes()
            .all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it))
    );
    assert_eq!(Ticket::read(&name).unwrap(), ticket);
    let path = format!("/api/v1/repositories/humio/queryjobs/{name}");
    assert_eq!(Ticket::of_path(&path).unwrap(), ticket);
    let job = ticket
        .asked
        .unwrap()
        .again(RepositoryName::new("humio"))
        .unwrap();
    assert_eq!(
        (job.range.start_ms, job.range.end_ms, job.now_ms),
        (-5, i64::MAX, 7)
    );
    assert!(job.query.is_aggregate());
}

#[test]
fn a_long_query_is_not_in_the_name() {
    let long = ticket(&"x".repeat(MAX_NAME_BYTES));
    let read = Ticket::read(&long.name()).unwrap();
    assert_eq!(
        read,
        Ticket {
            asked: None,
            ..long
        }
    );
}

#[test]
fn what_is_no_name_leads_nowhere() {
    for name in ["", "nonsense", "4b1d7c", "e30", "\u{fc}"] {
        assert_eq!(Ticket::read(name), None, "{name}");
    }
    let name = ticket("x").name();
    for path in [
        "/queryjobs",
        &format!("/other/{name}"),
        "/api/v1/repositories/humio/queryjobs",
    ] {
        assert_eq!(Ticket::of_path(path), None, "{path}");
    }
    let wrong = Asked {
        query: "|||".to_owned(),
        start_ms: 0,
        end_ms: 0,
        now_ms: 0,
    };
    assert!(wrong.again(RepositoryName::new("humio")).is_none());
}
