//! What a hosted API says of its checks, which is what its administrator lets it say.

use http::StatusCode;

use super::describe;

#[test]
fn failed_checks() {
    let seeds = [
        "[+]ping ok\n[-]etcd failed: reason withheld\n[-]poststarthook/x failed\nreadyz check failed",
    ];
    let words = &["[-]", "[-]\n", "[-]a/b failed", "\u{1b}[2J"];
    fuzz::check!(fuzz::text(seeds, words), |body: &str| {
        let said = describe(StatusCode::INTERNAL_SERVER_ERROR, body);
        assert!(
            said.is_ascii() && !said.contains(char::is_control),
            "{said:?}"
        );
        assert!(said.len() < 600, "{said}");
    });
}
