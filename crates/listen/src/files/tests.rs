use super::*;

#[test]
fn a_limit_is_raised_and_never_lowered() {
    let before = allow_files(0);
    assert!(before > 0);
    let raised = allow_files(before + 1);
    assert!(raised >= before);
    assert_eq!(allow_files(1), raised);
}
