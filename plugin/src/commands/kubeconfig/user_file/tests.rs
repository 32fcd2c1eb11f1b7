use super::*;

#[test]
fn the_command_that_is_said_is_quoted() {
    assert_eq!(
        use_it("team-a/demo", false, "x"),
        "Use it: kubectl --context team-a/demo x"
    );
    assert_eq!(
        use_it("a;b", false, "x"),
        "Use it: kubectl --context 'a;b' x"
    );
    assert_eq!(use_it("a;b", true, "x"), "Use it: kubectl x");
}
