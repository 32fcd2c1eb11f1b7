//! The webhook as it is shipped, in its pods.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::Api;
use kube::client::Body;
use serde_json::json;
use support::full::until;
use support::full::world::{PRODUCT, World};

const DEPLOYMENT: &str = "deployment/k0smotron-webhook";
/// Admissions a second, as far as the machine can.
const RATE: f64 = 500.0;
const AT_ONCE: u32 = 16;
const CLUSTER: &[u8] = br#"{"apiVersion":"k0smotron.io/v1beta2","kind":"Cluster",
"metadata":{"name":"flood"},"spec":{"service":{"type":"ClusterIP"}}}"#;

/// Admissions without end, through the API server.
struct Flood {
    stop: Arc<AtomicBool>,
    admitted: Arc<AtomicU64>,
    tasks: tokio::task::JoinSet<BTreeMap<String, u64>>,
    started: Instant,
}

impl Flood {
    fn start(client: &Client) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let admitted = Arc::new(AtomicU64::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..AT_ONCE {
            tasks.spawn(ask(
                client.clone(),
                Arc::clone(&stop),
                Arc::clone(&admitted),
            ));
        }
        Self {
            stop,
            admitted,
            tasks,
            started: Instant::now(),
        }
    }

    /// How many were admitted, how many a second that was, and what went wrong.
    async fn end(mut self) -> Result<(u64, f64, BTreeMap<String, u64>)> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = BTreeMap::new();
        while let Some(failed) = self.tasks.join_next().await {
            for (what, count) in failed? {
                *failures.entry(what).or_default() += count;
            }
        }
        let admitted = self.admitted.load(Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
        let rate = admitted as f64 / self.started.elapsed().as_secs_f64();
        Ok((admitted, rate, failures))
    }
}

/// Dry runs: they are admitted and stored nowhere. The answers are not read as objects: what the
/// load costs is not there for the webhook.
async fn ask(
    client: Client,
    stop: Arc<AtomicBool>,
    admitted: Arc<AtomicU64>,
) -> BTreeMap<String, u64> {
    let mut failures = BTreeMap::new();
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(f64::from(AT_ONCE) / RATE));
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        match admit(&client).await {
            Ok(()) => drop(admitted.fetch_add(1, Ordering::Relaxed)),
            Err(error) => *failures.entry(format!("{error:#}")).or_default() += 1,
        }
    }
    failures
}

async fn admit(client: &Client) -> Result<()> {
    let request =
        http::Request::post("/apis/k0smotron.io/v1beta2/namespaces/default/clusters?dryRun=All")
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(CLUSTER.to_vec()))?;
    let answer = client.send(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect_bytes().await?;
    ensure!(
        status == StatusCode::CREATED,
        "{status}: {}",
        String::from_utf8_lossy(&body)
    );
    Ok(())
}

pub async fn a_restart_and_a_renewal_under_load_fail_no_admission(world: &World) -> Result<()> {
    let flood = Flood::start(&world.client);
    let changes = async {
        let started = Instant::now();
        let product = ["--namespace", PRODUCT];
        let wait = ["rollout", "status", DEPLOYMENT, "--timeout", "2m"];
        let restart = ["rollout", "restart", DEPLOYMENT];
        world.kubectl(&[&product[..], &restart].concat()).await?;
        world.kubectl(&[&product[..], &wait].concat()).await?;
        let took = started.elapsed();
        world.say(format!("both webhooks restarted after {took:?}"));
        // The last of the old pods serves on until its connections have gone elsewhere.
        tokio::time::sleep(Duration::from_secs(12)).await;

        // A certificate that lacks a name is replaced at once, whatever its age.
        let secrets: Api<Secret> = Api::namespaced(world.client.clone(), PRODUCT);
        let leaf = async || -> Result<Vec<u8>> {
            let secret = secrets.get("k0smotron-webhook-certificate").await?;
            let data = secret.data.context("an empty Secret")?;
            Ok(data.get("tls.crt").context("no certificate")?.0.clone())
        };
        let before = leaf().await?;
        let name = json!([{"op": "add", "path": "/spec/template/spec/containers/0/args",
            "value": ["--san=webhook.example.org"]}]);
        let name = name.to_string();
        let patch = ["patch", DEPLOYMENT, "--type=json", "--patch", &name];
        world.kubectl(&[&product[..], &patch].concat()).await?;
        world.kubectl(&[&product[..], &wait].concat()).await?;
        until(
            "a new certificate",
            Duration::from_secs(40),
            async || match leaf().await {
                Ok(now) if now != before => Ok(()),
                other => Err(format!("{:?}", other.map(|_| "the old one"))),
            },
        )
        .await?;
        world.say("both webhooks restarted again, and have a new certificate");
        tokio::time::sleep(Duration::from_secs(3)).await;
        anyhow::Ok(())
    }
    .await;
    let (admitted, rate, failures) = flood.end().await?;
    world.say(format!(
        "{admitted} admissions, {rate:.0}/s, failed: {failures:?}"
    ));
    changes?;
    ensure!(failures.is_empty(), "{failures:?}");
    ensure!(admitted > 1000, "only {admitted} admissions");
    Ok(())
}
