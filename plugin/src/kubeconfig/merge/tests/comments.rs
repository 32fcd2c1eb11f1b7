//! Comments stay, or it is said that they don't.

use crate::kubeconfig::merge::tests::*;

#[test]
fn the_comment_of_an_empty_list_stays_with_it() {
    for text in [
        "clusters: [] # none",
        "clusters: []\t# none",
        "clusters: # none",
    ] {
        let merged = checked(&format!("{text}\nusers: []\ncontexts: []\n"));
        assert!(!merged.lost_comments, "{}", merged.text);
        let list = merged
            .text
            .lines()
            .find(|line| line.starts_with("clusters:"));
        assert!(list.unwrap().ends_with("# none"), "{}", merged.text);
    }
}

#[test]
fn comments_that_do_not_stay_are_said_to_be_lost() {
    let merged = into(COMMENTED).text;
    let own = merged.replace("user: demo\n", "user: demo # ours\n");
    assert_ne!(own, merged);
    let other = entry().at("https://10.0.0.9:31443");
    let again = |text: &str| merge(text, &other, &owner(), "demo", Current::Leave).unwrap();
    assert!(!again(&own).lost_comments);
    let inside = own.replace(
        "    server: https://10.0.0.7:31443\n",
        "    # moves soon\n    server: https://10.0.0.7:31443\n",
    );
    assert_ne!(inside, own);
    let lost = again(&inside);
    assert!(
        lost.lost_comments && lost.text.contains("# ours"),
        "{}",
        lost.text
    );
    let removed = remove(&own, &owner(), None).unwrap().unwrap();
    assert!(removed.lost_comments, "{}", removed.text);
    // A tab is a blank as well.
    let flow = "clusters: [{name: a, cluster: {server: 'https://a'}}]\t# mine\n";
    assert!(into(flow).lost_comments);
}
