//! Entries that a merge has made before.

use crate::kubeconfig::merge::tests::*;

#[test]
fn our_own_entries_are_made_anew_in_the_users_file() {
    let merged = into(COMMENTED).text;
    let own = merged.replace("user: demo\n", "user: demo\n    namespace: web\n");
    assert_ne!(own, merged);
    let other = entry().at("https://10.0.0.9:31443");
    let again = merge(&own, &other, &owner(), "demo", Current::Switch).unwrap();
    assert!(again.changed && !again.lost_comments && again.is_current);
    assert!(again.dropped.is_empty(), "{:?}", again.dropped);
    let tree = value(&again.text);
    assert_eq!(
        tree["clusters"][1]["cluster"]["server"],
        "https://10.0.0.9:31443"
    );
    assert_eq!(tree["contexts"][1]["context"]["namespace"], "web");
    assert_eq!(tree["current-context"], "demo");
    assert_eq!(tree["clusters"].as_array().unwrap().len(), 2);
    assert!(again.text.contains("# through the VPN"));
}

#[test]
fn an_entry_that_says_more_than_ours_and_is_not_known_as_ours_is_not_used() {
    let clean = value(&into("").text);
    let decoy = json!([{"name": EXTENSION, "extension": {}}, owner().extension()]);
    for (pointer, field, planted) in [
        ("/users/0/user", "exec", json!({"command": "sh"})),
        ("/clusters/0/cluster", "proxy-url", json!("http://10.6.6.6")),
    ] {
        for extensions in [decoy.clone(), json!({}), json!([])] {
            let mut tree = clean.clone();
            let content = tree.pointer_mut(pointer).unwrap();
            content["extensions"] = extensions;
            content[field] = planted.clone();
            let merged = merge(
                &tree.to_string(),
                &entry(),
                &owner(),
                "demo",
                Current::Switch,
            );
            assert!(matches!(merged, Err(Problem::Taken { .. })), "{merged:?}");
        }
    }
    let mut same = clean;
    same["users"][0]["user"]["extensions"] = json!([]);
    assert!(!into(&same.to_string()).changed);
}

#[test]
fn a_namespace_that_none_can_have_goes() {
    let clean = into("").text;
    for namespace in [json!("a\u{1b}[2J"), json!(7), json!("../..")] {
        let mut tree = value(&clean);
        tree["contexts"][0]["context"]["namespace"] = namespace;
        assert_eq!(into(&tree.to_string()).dropped, ["context.namespace"]);
    }
}

#[test]
fn what_an_earlier_release_has_merged_of_a_hostile_kubeconfig_goes() {
    let clean = into("");
    let mut planted = value(&clean.text);
    let whose = json!([{"name": "x", "extension": {"a": 1}}, owner().extension()]);
    let user = &mut planted["users"][0]["user"];
    for (field, value) in [
        ("exec", json!({"command": "sh"})),
        (
            "auth-provider",
            json!({"name": "gcp", "config": {"cmd-path": "sh"}}),
        ),
        ("tokenFile", json!("/etc/shadow")),
        ("token", json!("abc")),
        ("client-certificate", json!("/x")),
        ("username", json!("u")),
        ("password", json!("p")),
        ("as", json!("root")),
        ("as-groups", json!(["system:masters"])),
        ("extensions", whose),
    ] {
        user[field] = value;
    }
    let cluster = &mut planted["clusters"][0]["cluster"];
    for (field, value) in [
        ("proxy-url", json!("http://10.6.6.6")),
        ("insecure-skip-tls-verify", json!(true)),
        ("tls-server-name", json!("other")),
        ("certificate-authority", json!("/x")),
    ] {
        cluster[field] = value;
    }
    let again = into(&planted.to_string());
    let mut dropped = again.dropped.clone();
    dropped.sort();
    assert_eq!(
        dropped,
        [
            "cluster.certificate-authority",
            "cluster.insecure-skip-tls-verify",
            "cluster.proxy-url",
            "cluster.tls-server-name",
            "user.as",
            "user.as-groups",
            "user.auth-provider",
            "user.client-certificate",
            "user.exec",
            "user.password",
            "user.token",
            "user.tokenFile",
            "user.username",
        ]
    );
    let mut after = value(&again.text);
    let kept = after["users"][0]["user"]["extensions"].take();
    assert_eq!(kept[0]["name"], "x");
    let mut before = value(&clean.text);
    before["users"][0]["user"]["extensions"].take();
    assert_eq!(after, before);
    assert!(!into(&again.text).changed);
}
