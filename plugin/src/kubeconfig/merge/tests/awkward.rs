//! Kubeconfigs as people have them, on disk: nothing is lost, or nothing is touched.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::kubeconfig::file;
use crate::kubeconfig::merge::tests::*;

/// What a merge has to come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Everything is there still, comments included.
    Whole,
    /// Everything is there still but comments, which only the backup has.
    WithoutComments,
    /// It says no, and the file is what it was, byte for byte.
    Refused,
}

use Outcome::{Refused, Whole, WithoutComments};

/// A file as it is, and what becomes of it.
const TEXTS: &[(&str, &str, Outcome)] = &[
    ("comments in every place", COMMENTED, Whole),
    (
        "several contexts of one cluster",
        "clusters:\n- {name: a, cluster: {server: 'https://a'}}\nusers:\n- {name: u, user: {token: t}}\n\
         contexts:\n- {name: one, context: {cluster: a, user: u}}\n- {name: two, context: {cluster: a, user: u}} # 2nd\n\
         current-context: two\n",
        Whole,
    ),
    (
        "a cluster, user and context that have the name",
        "clusters:\n- {name: demo, cluster: {server: 'https://kind'}} # mine\n\
         users:\n- {name: demo, user: {token: t}}\ncontexts:\n- {name: demo, context: {cluster: demo, user: demo}}\n",
        Refused,
    ),
    (
        "a context alone that has the name",
        "contexts:\n- {name: demo, context: {cluster: kind, user: kind}}\n",
        Refused,
    ),
    (
        "paths relative to the file",
        "clusters:\n- name: a\n  cluster: {server: 'https://a', certificate-authority: ../pki/ca.crt}\n\
         users:\n- name: a\n  user: {client-certificate: me.crt, client-key: ./me.key} # beside\n",
        Whole,
    ),
    ("nothing at all", "", Whole),
    ("blank lines only", "\n\n  \n", Whole),
    ("comments only", "# nothing yet\n", Whole),
    ("a document's start only", "---\n", Whole),
    (
        "kubectl's own empty one",
        "apiVersion: v1\nclusters: null\ncontexts: null\ncurrent-context: \"\"\nkind: Config\npreferences: {}\nusers: null\n",
        Whole,
    ),
    (
        "JSON",
        "{\"kind\":\"Config\",\"clusters\":[{\"name\":\"a\",\"cluster\":{\"server\":\"https://a\"}}],\"x\":[1.5,null]}",
        Whole,
    ),
    (
        "anchors and aliases",
        "clusters:\n- name: a\n  cluster: &c\n    server: https://a # shared\n- name: b\n  cluster: *c\n",
        Whole,
    ),
    (
        "fields and extensions that nobody knows",
        "x-mine: {deep: [1, {a: b}]} # ours\nclusters:\n- name: a\n  note: hi\n  cluster:\n    server: https://a\n    \
         extensions:\n    - name: minikube.sigs.k8s.io\n      extension: {version: v1}\n",
        Whole,
    ),
    (
        "a credential plugin",
        "users:\n- name: a\n  user:\n    exec:\n      command: aws\n      args: [eks, get-token] # slow\n      \
         env:\n      - {name: AWS_PROFILE, value: '0123'}\n",
        Whole,
    ),
    (
        "a key twice",
        "clusters: []\nusers: []\nclusters: [] # again\n",
        WithoutComments,
    ),
    ("two documents", "kind: Config\n---\nkind: Config\n", Whole),
    ("a list", "- a\n", Refused),
    (
        "a mapping where a list belongs",
        "clusters: {a: b}\n",
        Refused,
    ),
    ("text that ends in the middle", "clusters: [\n", Refused),
    (
        "line ends of Windows",
        "clusters:\r\n- name: a\r\n  cluster:\r\n    server: https://a\r\ncurrent-context: a\r\n",
        Whole,
    ),
    (
        "a byte order mark",
        "\u{feff}apiVersion: v1\nkind: Config\nclusters: []\n",
        Whole,
    ),
    (
        "no line end at the end",
        "kind: Config\ncurrent-context: a # mine",
        Whole,
    ),
    (
        "flow style in one line",
        "# short\n{clusters: [{name: a, cluster: {server: 'https://a'}}], current-context: a}\n",
        WithoutComments,
    ),
    (
        "names in other scripts, with colons and blanks",
        "clusters:\n- {name: 'büro: ost', cluster: {server: 'https://a'}}\nusers:\n- {name: 管理者, user: {token: t}}\n\
         contexts:\n- {name: büro/管理者, context: {cluster: 'büro: ost', user: 管理者}}\ncurrent-context: büro/管理者\n",
        Whole,
    ),
    (
        "a context without a namespace, and one with an empty one",
        "contexts:\n- {name: a, context: {cluster: a, user: a}}\n- {name: b, context: {cluster: a, user: a, namespace: ''}}\n",
        Whole,
    ),
    (
        "block scalars",
        "users:\n- name: a\n  user:\n    token: |\n      first\n      # no comment\n    x: >-\n      folded\n",
        Whole,
    ),
];

fn merged_on_disk(path: &Path) -> Result<Option<file::Changed>, Error> {
    file::rewrite(path, |before| {
        merge(before, &entry(), &owner(), "demo", Current::IfNone)
            .map(|merged| {
                let keep = merged.is_first || merged.lost_comments;
                let text = merged.text;
                merged.changed.then_some(file::Rewritten { text, keep })
            })
            .map_err(|problem| Error::Declined(problem.to_string()))
    })
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn comments(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| Some(line.get(line.find('#')?..)?.trim_end()))
        .collect()
}

/// Writes the text, readable by all, merges into `given`, and holds the outcome against it.
fn check(name: &str, folder: &Path, real: &Path, given: &Path, text: &str, outcome: Outcome) {
    fs::write(real, text).unwrap();
    fs::set_permissions(real, fs::Permissions::from_mode(0o644)).unwrap();
    let files = || fs::read_dir(folder).unwrap().count();
    let before = files();
    let result = merged_on_disk(given);
    let now = fs::read_to_string(real).unwrap();
    if outcome == Refused {
        assert!(
            matches!(result, Err(Error::Declined(_))),
            "{name}: {result:?}"
        );
        assert_eq!(
            (now.as_str(), mode(real), files()),
            (text, 0o644, before),
            "{name}"
        );
        return;
    }
    let backup = result
        .unwrap_or_else(|error| panic!("{name}: {error}"))
        .unwrap()
        .backup;
    kept(&value(text), &value(&now), name);
    kube::config::Kubeconfig::from_yaml(&now).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(
        value(&now)["contexts"].as_array().unwrap().last().unwrap()["name"],
        "demo",
        "{name}"
    );
    assert_eq!(mode(real), 0o600, "{name}");
    let added = usize::from(backup.is_some());
    assert_eq!(
        files(),
        before + added,
        "{name}: a lock or a temporary file stays"
    );
    assert_eq!(backup.is_none(), text.is_empty(), "{name}");
    if let Some(backup) = backup {
        assert_eq!(fs::read_to_string(&backup).unwrap(), text, "{name}");
        assert_eq!(mode(&backup), 0o600, "{name}");
    }
    let lost = comments(text) != comments(&now);
    assert_eq!(lost, outcome == WithoutComments, "{name}:\n{now}");
}

#[test]
fn awkward_texts_lose_nothing_or_are_left_as_they_are() {
    for (name, text, outcome) in TEXTS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        check(name, folder.path(), &path, &path, text, *outcome);
    }
}

#[test]
fn a_very_long_line_stays_whole() {
    let long = "QUJD".repeat(100_000);
    let text =
        format!("clusters:\n- name: a\n  cluster:\n    certificate-authority-data: {long}\n");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    check("long", folder.path(), &path, &path, &text, Whole);
}

#[test]
fn links_and_chains_of_links_stay_links() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("dotfiles");
    fs::create_dir(&elsewhere).unwrap();
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    symlink("dotfiles/real", at("middle")).unwrap();
    symlink(at("middle"), at("config")).unwrap();
    let real = elsewhere.join("real");
    check("chain", &elsewhere, &real, &at("config"), COMMENTED, Whole);
    for link in ["config", "middle"] {
        assert!(
            fs::symlink_metadata(at(link)).unwrap().is_symlink(),
            "{link}"
        );
    }
}

#[test]
fn a_link_to_nothing_yet_gets_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("config");
    symlink("real", &link).unwrap();
    merged_on_disk(&link).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(mode(&folder.path().join("real")), 0o600);
}

#[test]
fn what_is_no_writable_text_file_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let read_only = folder.path().join("read-only");
    fs::write(&read_only, COMMENTED).unwrap();
    fs::set_permissions(&read_only, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(
        merged_on_disk(&read_only)
            .unwrap_err()
            .to_string()
            .contains("read-only")
    );
    assert_eq!(fs::read_to_string(&read_only).unwrap(), COMMENTED);
    assert_eq!(mode(&read_only), 0o400);

    let binary = folder.path().join("binary");
    fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
    assert!(merged_on_disk(&binary).is_err());
    assert_eq!(fs::read(&binary).unwrap(), [0xff, 0xfe, 0x00]);

    let directory = folder.path().join("directory");
    fs::create_dir(&directory).unwrap();
    assert!(
        merged_on_disk(&directory)
            .unwrap_err()
            .to_string()
            .contains("not a regular file")
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}
