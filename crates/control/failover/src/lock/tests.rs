use super::*;

const LASTS: Duration = Duration::from_secs(15);

fn lease(holder: Option<&str>, revision: &str) -> Lease {
    Lease {
        holder: holder.map(str::to_owned),
        revision: Revision(revision.to_owned()),
        promised: Duration::ZERO,
    }
}

#[test]
fn whose_the_lock_is() {
    let revision = |it: &str| Revision(it.to_owned());
    let mut watch = LeaseWatch::default();
    let mut judge = |lease: Option<Lease>, mono| {
        watch.judge(lease.as_ref(), "me", Duration::from_secs(mono), LASTS)
    };
    assert_eq!(judge(None, 0), Lock::Free(None));
    let theirs = || Some(lease(Some("other"), "1"));
    assert_eq!(judge(theirs(), 100), Lock::Held("other".to_owned()));
    assert_eq!(judge(theirs(), 114), Lock::Held("other".to_owned()));
    // Unchanged for so long: its holder is gone.
    assert_eq!(judge(theirs(), 115), Lock::Free(Some(revision("1"))));
    // It has been renewed after all.
    let renewed = || Some(lease(Some("other"), "2"));
    assert_eq!(judge(renewed(), 120), Lock::Held("other".to_owned()));
    assert_eq!(judge(renewed(), 134), Lock::Held("other".to_owned()));
    assert_eq!(judge(None, 134), Lock::Free(None));
    assert_eq!(judge(renewed(), 200), Lock::Held("other".to_owned()));
    let ours = Some(lease(Some("me"), "3"));
    assert_eq!(judge(ours.clone(), 201), Lock::Mine(revision("3")));
    assert_eq!(judge(ours, 301), Lock::Mine(revision("3")));
    let given_back = Some(lease(None, "4"));
    assert_eq!(judge(given_back, 302), Lock::Free(Some(revision("4"))));
}

#[test]
fn who_promises_more_is_believed_in_for_longer_and_who_promises_less_is_not_for_less() {
    for (promised, until) in [(60, 60), (15, 15), (2, 15), (86_400, 120)] {
        let mut watch = LeaseWatch::default();
        let theirs = Lease {
            promised: Duration::from_secs(promised),
            ..lease(Some("operator@host"), "1")
        };
        let mut judge = |mono| watch.judge(Some(&theirs), "me", Duration::from_secs(mono), LASTS);
        assert_eq!(judge(100), Lock::Held("operator@host".to_owned()));
        let last = 100 + until - 1;
        assert_eq!(judge(last), Lock::Held("operator@host".to_owned()));
        assert_eq!(judge(last + 1), Lock::Free(Some(theirs.revision.clone())));
    }
}
