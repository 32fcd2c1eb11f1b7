use super::*;

#[test]
fn a_file_in_another_encoding_has_what_is_in_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let units = "\u{feff}größe".encode_utf16();
    let wide: Vec<u8> = units.flat_map(u16::to_be_bytes).collect();
    std::fs::write(file.path(), wide).unwrap();
    assert_eq!(text(file.path()), "größe");
    std::fs::write(file.path(), b"\xff\xfe\x00").unwrap();
    assert_eq!(text(file.path()), "");
}

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
