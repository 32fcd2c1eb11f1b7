//! What a machine writes is its own.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Result, ensure};
use mothership::worker::SPARE_K0S;
use mothership::{Worker, WorkerOptions, paths};
use support::full::world::World;

/// Where something that is installed may put files.
const PLACES: [&str; 17] = [
    "/",
    "/bin",
    "/boot",
    "/etc",
    "/etc/init.d",
    "/home",
    "/lib",
    "/mnt",
    "/opt",
    "/opt/cni/bin",
    "/var/tmp",
    "/root",
    "/srv",
    "/usr/bin",
    "/usr/lib/cni",
    "/usr/local/bin",
    "/var/lib",
];
/// What installing k0s makes.
const INSTALLED: [&str; 2] = ["/usr/local/bin/k0s", "/etc/init.d/k0sworker"];
const MARK: &str = "left-by-a-machine";

fn mark(place: &str) -> String {
    format!("{}/{MARK}", place.trim_end_matches('/'))
}

pub async fn an_install_changes_nothing_of_the_hosts_disk_and_vanishes_with_the_machine(
    world: &World,
) -> Result<()> {
    // Not below /tmp, where each machine has a folder of its own.
    let host = tempfile::tempdir_in("/var/tmp")?;
    let file = host.path().join("file");
    std::fs::write(&file, "the host's\n")?;
    let before = INSTALLED.map(changed);
    let worker = machine(world).await?;
    let folder = worker.machine().dir().to_owned();
    let outcome = writes(&worker, &file, &folder).await;
    worker.down().await?;
    outcome?;
    ensure!(!folder.exists(), "{} is left", folder.display());
    ensure!(
        std::fs::read_to_string(&file)? == "the host's\n",
        "the host's file is changed"
    );
    ensure!(INSTALLED.map(changed) == before, "k0s is on the host");
    for place in PLACES {
        ensure!(!Path::new(&mark(place)).exists(), "{place} is written to");
    }
    let worker = machine(world).await?;
    let again = marked(&worker).await;
    worker.down().await?;
    ensure!(again?.is_empty(), "a new machine has an old one's files");
    Ok(())
}

/// One without k0s.
async fn machine(world: &World) -> Result<Worker> {
    let mut options = WorkerOptions::new("own-root");
    options.bare = true;
    world.full.worker(options).await
}

/// When a file of the host was changed, if there is one.
fn changed(path: &str) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

async fn marked(worker: &Worker) -> Result<String> {
    let marks = PLACES.map(mark).join(" ");
    let list = format!("for mark in {marks}; do ! [ -e $mark ] || echo $mark; done");
    worker.output(&["sh", "-c", &list]).await
}

async fn writes(worker: &Worker, file: &Path, folder: &Path) -> Result<()> {
    let file = file.display().to_string();
    let read = worker.output(&["cat", &file]).await?;
    ensure!(read == "the host's\n", "the machine reads {read:?}");
    worker.put(&file, b"the machine's\n", 0o640).await?;
    let read = worker.output(&["cat", &file]).await?;
    ensure!(read == "the machine's\n", "the machine reads {read:?}");
    let mode = worker.output(&["stat", "-c", "%a", &file]).await?;
    ensure!(mode == "640\n", "the mode is {mode}");
    worker.output(&["rm", &file]).await?;
    // A command starts in the machine's root, not in the host's.
    worker.output(&["touch", MARK]).await?;
    ensure!(marked(worker).await? == format!("/{MARK}\n"));
    for place in PLACES {
        worker.put(&mark(place), b"", 0o644).await?;
    }
    ensure!(marked(worker).await?.lines().count() == PLACES.len());

    let k0s = ["k0s", "install", "worker", "--token-file", "token"];
    ensure!(worker.output(&k0s).await.is_err(), "there is k0s already");
    let copy = ["install", SPARE_K0S, "/usr/local/bin/k0s"];
    worker.output(&copy).await?;
    worker.output(&k0s).await?;
    for path in INSTALLED {
        worker.output(&["test", "-x", path]).await?;
    }

    // What all machines share, and what is other machines'.
    let cache = paths::cache()?.join(MARK).display().to_string();
    let refused = worker.put(&cache, b"", 0o644).await;
    ensure!(
        refused.is_err_and(|error| format!("{error:#}").contains("Read-only")),
        "the machine writes to the cache"
    );
    let siblings = worker
        .output(&["ls", &folder.join("..").display().to_string()])
        .await?;
    ensure!(siblings == "own-root\n", "the machine sees {siblings:?}");
    Ok(())
}
