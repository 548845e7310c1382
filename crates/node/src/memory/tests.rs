#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

#[test]
fn the_shares_leave_something_for_the_rest_of_the_process() {
    for bytes in [MIN_BUDGET_BYTES, 1 << 30, 16 << 30, 1 << 50] {
        let budget = MemoryBudget::new(bytes);
        let shares: u64 = MemoryUse::ALL
            .map(|kind| budget.share(kind) as u64)
            .iter()
            .sum();
        assert!(shares <= bytes / 16 * 14, "{shares} of {bytes}");
    }
}

#[test]
fn what_can_never_fit_is_told_from_what_does_not_fit_now() {
    let budget = MemoryBudget::new(1 << 30);
    let share = budget.share(MemoryUse::Ingest);
    let kind = MemoryUse::Ingest;
    let error = budget.try_take(kind, share + 1).unwrap_err();
    let bytes = share + 1;
    assert_eq!(error, NoMemory::Never { kind, bytes, share });
    let held = budget.try_take(kind, share).unwrap();
    assert_eq!(
        budget.try_take(kind, 1).unwrap_err(),
        NoMemory::Now { kind }
    );
    assert!(
        budget.try_take(MemoryUse::Tails, 1).is_ok(),
        "the others have theirs"
    );
    drop(held);
    assert!(budget.try_take(kind, 1).is_ok());
    assert_eq!(budget.refused(kind), 2);
}

#[tokio::test]
async fn who_needs_more_than_everything_gets_everything() {
    let budget = MemoryBudget::new(MIN_BUDGET_BYTES);
    let share = budget.share(MemoryUse::Segments);
    let held = budget.take(MemoryUse::Segments, share * 2).await;
    assert_eq!(held.bytes(), share);
    assert!(budget.try_take(MemoryUse::Segments, 1).is_err());
    drop(held);
    assert_eq!(budget.used(MemoryUse::Segments), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Take(usize, usize),
    Grow(usize, usize),
    Shrink(usize, usize),
    Drop(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = 0..(20_usize << 20);
    prop_oneof![
        (0..MemoryUse::ALL.len(), bytes.clone()).prop_map(|(kind, bytes)| Step::Take(kind, bytes)),
        (any::<usize>(), bytes.clone()).prop_map(|(at, bytes)| Step::Grow(at, bytes)),
        (any::<usize>(), bytes).prop_map(|(at, bytes)| Step::Shrink(at, bytes)),
        any::<usize>().prop_map(Step::Drop),
    ]
}

proptest! {
    /// Whatever is taken, grown, shrunk and dropped: the used bytes are those of the permits, never
    /// more than the share, and all come back.
    #[test]
    fn nothing_is_lost_and_nothing_is_exceeded(steps in proptest::collection::vec(step(), 0..60)) {
        let budget = MemoryBudget::new(MIN_BUDGET_BYTES);
        let mut permits: Vec<MemoryPermit> = Vec::new();
        for step in steps {
            let count = permits.len().max(1);
            match step {
                Step::Take(kind, bytes) => permits.extend(budget.try_take(MemoryUse::ALL[kind], bytes).ok()),
                Step::Grow(at, bytes) => {
                    if let Some(permit) = permits.get_mut(at % count) {
                        let before = permit.bytes();
                        let grown = permit.grow(bytes);
                        prop_assert!(grown.is_ok() || permit.bytes() == before);
                        prop_assert!(grown.is_err() || permit.bytes() >= before + bytes);
                    }
                }
                Step::Shrink(at, bytes) => {
                    if let Some(permit) = permits.get_mut(at % count) {
                        let before = permit.bytes();
                        permit.shrink_to(bytes);
                        prop_assert!(permit.bytes() <= before && permit.bytes() >= bytes.min(before));
                    }
                }
                Step::Drop(at) => {
                    if at % count < permits.len() {
                        permits.swap_remove(at % count);
                    }
                }
            }
            for kind in MemoryUse::ALL {
                let held: usize = permits.iter().filter(|it| it.kind == kind).map(MemoryPermit::bytes).sum();
                prop_assert_eq!(budget.used(kind), held);
                prop_assert!(held <= budget.share(kind));
            }
        }
        drop(permits);
        for kind in MemoryUse::ALL {
            prop_assert_eq!(budget.used(kind), 0);
        }
    }
}
