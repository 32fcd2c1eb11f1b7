//! Names that only the API server knows, while somebody types.

use anyhow::Result;

use crate::scene::installed;

#[tokio::test(flavor = "multi_thread")]
async fn names_are_completed_from_the_mothership() -> Result<()> {
    let (light, admin) = installed().await?;
    admin.runs("create demo")?.expect(0, &[]);
    admin.runs("create shop")?.expect(0, &[]);
    for (typed, expected) in [
        ("status d", "demo\n:4\n"),
        ("status x", ":4\n"),
        ("list -n kube-p", "kube-public\n:4\n"),
        ("status --namespace kube-public d", ":4\n"),
    ] {
        let completed = admin.runs(&format!("__complete {typed}"))?.expect(0, &[]);
        assert_eq!(completed.stdout, expected, "{typed}");
    }
    light.down().await?;
    // Who presses a key wants no error.
    let alone = admin.runs("__complete status d")?.expect(0, &[]);
    assert_eq!(alone.stdout, ":4\n");
    Ok(())
}
