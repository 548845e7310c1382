use backstay_global::{Extra, Repository, View, ViewConnection};

use super::*;

fn state(filters: [&str; 2]) -> State {
    let repository = |name: &str| Repository {
        id: format!("id-{name}").as_str().into(),
        name: name.to_owned(),
        description: None,
        retention_days: None,
        retention_bytes: None,
        created_ms: 0,
        extra: Extra::default(),
    };
    let connection = |(name, filter): (&str, &str)| ViewConnection {
        repository: format!("id-{name}").as_str().into(),
        filter: filter.to_owned(),
        extra: Extra::default(),
    };
    State {
        repositories: vec![repository("web"), repository("db")],
        views: vec![View {
            id: "v".to_owned(),
            name: "all".to_owned(),
            connections: ["web", "db"]
                .into_iter()
                .zip(filters)
                .map(connection)
                .collect(),
            extra: Extra::default(),
        }],
        ..State::default()
    }
}

#[test]
fn a_search_reads_what_its_name_stands_for_or_is_refused() {
    let named = |filters, name: &str| {
        let repositories = searched(&state(filters), name);
        repositories
            .map(|found| found.values().map(ToString::to_string).collect::<Vec<_>>())
            .map_err(|error| error.to_string())
    };
    let both = vec!["db".to_owned(), "web".to_owned()];
    assert_eq!(named(["", ""], "all"), Ok(both.clone()));
    assert_eq!(named(["*", " "], "all"), Ok(both));
    assert_eq!(named(["", ""], "web"), Ok(vec!["web".to_owned()]));
    // The repository itself is not limited by a view of it.
    assert_eq!(named(["x", "x"], "web"), Ok(vec!["web".to_owned()]));
    for (filters, repository) in [(["level=info", ""], "`web`"), (["", "level=info"], "`db`")] {
        let said = named(filters, "all").err().unwrap_or_default();
        for part in ["`all`", repository, "not supported"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    let mut twice = state(["", ""]);
    twice.views[0].connections[1].repository = "id-web".into();
    let found = searched(&twice, "all").map(|found| found.len());
    assert_eq!(found.ok(), Some(1), "each repository once");
    let said = named(["", ""], "nowhere").err().unwrap_or_default();
    assert!(said.contains("`nowhere`"), "{said}");
}
