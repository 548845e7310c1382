use super::*;

#[test]
fn every_refusal_is_counted_in_its_place() {
    let refusals = Refusals::new("api");
    for (at, refusal) in Refusal::ALL.into_iter().enumerate() {
        assert_eq!(refusal as usize, at);
        for _ in 0..=at {
            refusals.add(refusal, None, None);
        }
    }
    refusals.set_open(3);
    let text = metrics(&[&refusals, &Refusals::new("alerts")]);
    assert!(text.contains("backstay_http_connections{server=\"api\"} 3\n"));
    for (at, refusal) in Refusal::ALL.into_iter().enumerate() {
        let (reason, count) = (refusal.as_str(), at + 1);
        let line =
            format!("backstay_http_refused_total{{server=\"api\",reason=\"{reason}\"}} {count}\n");
        assert!(text.contains(&line), "{text}");
    }
    assert_eq!(text.matches("# TYPE").count(), 2);
}

#[test]
fn an_exposition_has_one_end() {
    let refusals = Refusals::new("api");
    for before in ["", "# EOF\n", "a 1\n# EOF\n"] {
        let text = with_metrics(before, &[&refusals]);
        assert_eq!(text.matches("# EOF").count(), 1);
        assert!(text.ends_with("# EOF\n"));
    }
}
