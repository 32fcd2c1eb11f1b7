//! How large the released plugin is, and how fast it answers: a measurement, run by `make bench`.
//! Times are those of whole processes, from their start to their end. They are printed, and fail
//! only at ten times what is promised; the size fails above its promise, since it is no time.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use crds::v1beta2::Cluster;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, PostParams};
use mothership::components::Components;
use mothership::progress::Progress;
use mothership::{Light, LightOptions};
use serde_json::json;
use support::released::Released;

const RUNS: usize = 30;
const CLUSTERS: usize = 1000;
const SIZE_MIB: f64 = 12.0;

/// Somebody at a command line.
struct Person {
    path: PathBuf,
    home: PathBuf,
    kubeconfig: PathBuf,
}

impl Person {
    fn command(&self, line: &str) -> Command {
        let mut words = line.split(' ');
        let program = words.next().unwrap_or_default();
        let mut command = Command::new(self.path.join(program));
        command
            .args(words)
            .env_clear()
            .env("HOME", &self.home)
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::null());
        command
    }
}

/// How long a command took each time, in ascending order, and the first time.
struct Times {
    first: Duration,
    sorted: Vec<Duration>,
}

impl Times {
    fn of(person: &Person, line: &str) -> Result<Self> {
        let mut times = Vec::new();
        for _ in 0..RUNS {
            let mut command = person.command(line);
            let started = Instant::now();
            let output = command.output().with_context(|| line.to_owned())?;
            times.push(started.elapsed());
            ensure!(output.status.success(), "{line}: {output:?}");
        }
        let first = times.first().copied().context("no run")?;
        times.sort();
        Ok(Self {
            first,
            sorted: times,
        })
    }

    /// The shortest time that this many of a hundred runs stayed within.
    fn within(&self, percent: usize) -> Duration {
        let rank = (self.sorted.len() * percent).div_ceil(100);
        self.sorted
            .get(rank.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    }

    fn line(&self) -> String {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        format!(
            "median {:.1} ms, p95 {:.1} ms, first {:.1} ms of {RUNS} runs",
            ms(self.within(50)),
            ms(self.within(95)),
            ms(self.first)
        )
    }
}

async fn install(client: &kube::Client) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in crds::definitions::all() {
        let name = definition.metadata.name.clone().unwrap_or_default();
        definitions
            .create(&PostParams::default(), &definition)
            .await?;
        let established = kube::runtime::wait::conditions::is_crd_established();
        let wait = kube::runtime::wait::await_condition(definitions.clone(), &name, established);
        tokio::time::timeout(Duration::from_secs(30), wait).await??;
    }
    Ok(())
}

async fn fill(client: &kube::Client) -> Result<()> {
    let clusters: Api<Cluster> = Api::namespaced(client.clone(), "default");
    let made = futures::stream::iter(0..CLUSTERS).map(|index| {
        let clusters = &clusters;
        async move {
            let object = json!({
                "metadata": {"name": format!("stored-{index}")},
                "spec": {"version": "v1.36.3-k0s.2", "service": {"type": "NodePort"}},
            });
            let object = serde_json::from_value(object)?;
            clusters.create(&PostParams::default(), &object).await?;
            anyhow::Ok(())
        }
    });
    made.buffer_unordered(32)
        .try_for_each(|()| async { Ok(()) })
        .await
}

#[expect(clippy::cast_precision_loss, reason = "a file's size")]
fn mib(path: &Path) -> Result<f64> {
    Ok(std::fs::metadata(path)?.len() as f64 / 1024.0 / 1024.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_released_plugin_is_small_and_answers_at_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let released = Released::make(None)?;
    released.unpack(folder.path())?;
    let components = Components::light(&Progress::new())?;
    std::os::unix::fs::symlink(components.path("kubectl")?, folder.path().join("kubectl"))?;
    let light = Light::start(LightOptions::default()).await?;
    let client = light.admin().await?;
    install(&client).await?;
    let person = Person {
        path: folder.path().to_owned(),
        home: folder.path().join("home"),
        kubeconfig: light.admin_kubeconfig()?,
    };

    let size = mib(&folder.path().join("kubectl-k0smotron"))?;
    let packed = mib(&released.archive())?;
    println!("the program: {size:.1} MiB (promised {SIZE_MIB}), its archive {packed:.1} MiB");
    let mut late = Vec::new();
    let mut measure = |what: &str, line: &str, promised: Option<u64>| -> Result<()> {
        let times = Times::of(&person, line)?;
        let promised = promised.map(Duration::from_millis);
        let beside = promised.map_or_else(String::new, |time| format!(" (promised {time:?})"));
        println!("{what}: {}{beside}", times.line());
        if promised.is_some_and(|promised| times.within(50) > promised * 10) {
            late.push(format!("{what}: {}", times.line()));
        }
        Ok(())
    };
    let reference = "kubectl get --raw /version";
    measure("--help", "kubectl-k0smotron --help", Some(10))?;
    measure("list, no Clusters", "kubectl-k0smotron list", Some(40))?;
    measure("beside them, kubectl get --raw /version", reference, None)?;
    fill(&client).await?;
    measure(
        &format!("list -A, {CLUSTERS} Clusters"),
        "kubectl-k0smotron list -A",
        Some(150),
    )?;
    measure("beside it, kubectl get --raw /version", reference, None)?;
    light.down().await?;
    ensure!(late.is_empty(), "{late:?}");
    ensure!(size <= SIZE_MIB, "{size:.2} MiB");
    Ok(())
}
