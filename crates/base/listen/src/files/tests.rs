use super::*;

#[test]
fn a_limit_is_raised_and_never_lowered() {
    let before = allow_files(0);
    assert!(before > 0);
    let raised = allow_files(before + 1);
    assert!(raised >= before);
    assert_eq!(allow_files(1), raised);
}

#[test]
fn others_come_first_and_have_no_more_than_half() {
    for (wanted, others, allowed, expected) in [
        (4096, 256, 1 << 20, 4096),
        (4096, 256, 4352, 4096),
        (4096, 256, 1024, 768),
        (4096, 256, 400, 200),
        (16, 256, 1024, 16),
        (4096, 256, 0, 1),
        (usize::MAX, u64::MAX, u64::MAX, usize::MAX / 2 + 1),
    ] {
        let share = share(wanted, others, allowed);
        assert_eq!(share, expected, "{wanted} beside {others} of {allowed}");
    }
}
