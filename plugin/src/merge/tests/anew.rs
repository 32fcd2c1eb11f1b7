//! Entries that a merge has made before.

use super::*;

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
