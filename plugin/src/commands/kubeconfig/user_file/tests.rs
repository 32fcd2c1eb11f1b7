use super::*;
use crate::mothership::client::testing;

const ENTRY: &str = "current-context: c\nclusters: [{name: c, cluster: {server: 'https://h:1'}}]\n\
    users: [{name: u, user: {token: TOKEN}}]\n\
    contexts: [{name: c, context: {cluster: c, user: u}}]\n";
const OTHER: &str = "contexts: [{name: mine, context: {cluster: c, user: u}}]\n";

/// Two files that merges have gone into, each alone, with what is in them besides.
struct Files {
    folder: tempfile::TempDir,
    owner: merge::Owner,
}

impl Files {
    fn merged(name: &str) -> Self {
        let owner = merge::Owner {
            cluster: "demo".into(),
            namespace: "team-a".into(),
            mothership: "https://mothership:6443".into(),
            user: None,
        };
        let folder = tempfile::tempdir().unwrap();
        let files = Self { folder, owner };
        for path in files.paths() {
            std::fs::write(&path, OTHER).unwrap();
            files.merges("old", name, |what| {
                what.goes_into(&path, Current::Leave).unwrap();
            });
        }
        files
    }

    fn paths(&self) -> [PathBuf; 2] {
        ["a", "b"].map(|name| self.folder.path().join(name))
    }

    fn texts(&self) -> [String; 2] {
        self.paths()
            .map(|path| std::fs::read_to_string(path).unwrap())
    }

    fn merges(&self, token: &str, name: &str, merge: impl FnOnce(&Brought<'_>)) -> String {
        let (session, captured) = testing::session();
        let entry = merge::Entry::current(&ENTRY.replace("TOKEN", token)).unwrap();
        merge(&Brought {
            session: &session,
            entry: &entry,
            owner: &self.owner,
            name,
        });
        captured.stderr()
    }
}

#[test]
fn no_file_keeps_a_key_that_a_merge_has_renewed() {
    let files = Files::merged("demo");
    let [a, b] = files.paths();
    let said = files.merges("new", "demo", |what| {
        what.goes_into(&a, Current::Leave).unwrap();
        what.goes_again_into(std::slice::from_ref(&b)).unwrap();
    });
    for text in files.texts() {
        assert!(text.contains("new") && !text.contains("old"), "{text}");
    }
    for path in files.paths() {
        assert!(
            said.contains(&format!("into {}.", path.display())),
            "{said}"
        );
    }
    // What has another name is another entry.
    let other = Files::merged("other");
    other.merges("new", "demo", |what| {
        what.goes_again_into(&other.paths()).unwrap();
    });
    assert!(other.texts().iter().all(|text| !text.contains("new")));
}

#[test]
fn a_removal_leaves_no_key_in_any_file() {
    for name in ["demo", "other"] {
        let files = Files::merged(name);
        let (session, captured) = testing::session();
        let places = having(files.paths().to_vec(), &files.owner, None);
        remove_from_all(&session, &places, &files.owner, None, "mine").unwrap();
        for (text, path) in files.texts().iter().zip(files.paths()) {
            assert!(text.contains("mine") && !text.contains("old"), "{text}");
            let said = format!("team-a/demo from {}.", path.display());
            assert!(captured.stderr().contains(&said), "{}", captured.stderr());
        }
    }
}

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
