//! Runs workloads and plans, each in a namespace of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use mothership::proxy::{Fault, Point, Proxy};

use super::choice::{Arguments, Scope};
use super::history::History;
use super::hosted::{self, Backing, Hosted};
use super::operator::{Operator, Program};
use super::oracles::{self, Finding, Kind};
use super::plan::Plan;
use super::print;
use super::reference::{Recorded, Reference};
use super::stage::{self, Against, Stage};
use super::workloads::{Workload, named};
use crate::light::world::World;
use crate::runner::World as _;

/// No run of a workload takes so long.
const LONGEST: Duration = Duration::from_secs(900);

/// The user that the tested programs are.
const USER: &str = "plans";

/// What every run shares.
pub struct Machine {
    world: World,
    history: Arc<History>,
    backing: Option<Backing>,
    pub program: Program,
    /// It is this product's.
    own: bool,
    quiet: Duration,
    runs: AtomicUsize,
}

/// What came of a plan.
pub struct Outcome {
    /// The plan.
    pub plan: Plan,
    /// What did not hold.
    pub findings: Vec<Finding>,
    /// Whether the request came at all.
    pub reached: bool,
    /// How long that took.
    pub took: Duration,
}

impl Machine {
    /// With the product installed, the program that is asked for, and hosted APIs if some are to
    /// be served.
    pub async fn start(scope: Scope, arguments: &Arguments, serves: bool) -> Result<Self> {
        let world = World::without_admission().await?;
        world.grant(USER).await?;
        world.grant_leases(USER).await?;
        let own = || {
            let program = world.program().display().to_string();
            let flags = [
                "--namespace={namespace}",
                "--health-address=127.0.0.1:0",
                "--log=info,controller=debug,kube_runtime=warn",
                "--log-format=text",
            ];
            std::iter::once(program)
                .chain(flags.map(str::to_owned))
                .collect()
        };
        let words = match &arguments.operator {
            Some(line) => line.split_whitespace().map(str::to_owned).collect(),
            None => own(),
        };
        let program = Program::new(words)?;
        let history = Arc::new(History::start(&world.admin()).await?);
        let backing = if serves {
            Some(Backing::start().await?)
        } else {
            None
        };
        Ok(Self {
            world,
            history,
            backing,
            program,
            own: arguments.operator.is_none(),
            quiet: arguments.quiet.map_or(scope.quiet, Duration::from_secs_f64),
            runs: AtomicUsize::new(0),
        })
    }

    /// Ends all of it; with `well` nothing is left to be looked at.
    pub async fn end(self, well: bool) -> Result<()> {
        drop(self.history);
        if let Some(backing) = self.backing {
            backing.end().await?;
        }
        self.world.end(well).await
    }

    async fn stage(
        &self,
        workload: &Workload,
        against: Against,
        faults: &[(Point, Fault)],
    ) -> Result<Stage> {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let scene = self.world.space(&format!("plan-{number:05}"), USER).await?;
        let proxy = Arc::new(Proxy::start(&scene.access, USER, &[]).await?);
        let hosted = match &self.backing {
            Some(backing) if workload.serves => {
                Some(Hosted::start(backing, &self.history, &scene).await?)
            }
            _ => None,
        };
        for (point, fault) in faults {
            match &hosted {
                Some(hosted) if point.call.starts_with(hosted::PLACE) => {
                    hosted.proxy.inject(point.clone(), *fault);
                }
                _ => proxy.inject(point.clone(), *fault),
            }
        }
        let folder = scene.access.dir().join("plans");
        std::fs::create_dir_all(&folder)?;
        let kubeconfig = proxy.kubeconfig(&scene.access, &folder)?;
        let log = folder.join(format!("{}.log", scene.namespace));
        let mut program = self.program.clone();
        if self.own && workload.lease {
            let lease = [
                "--leader-elect",
                "--lease-namespace={namespace}",
                "--identity=a",
            ];
            program.add(&lease);
        }
        let operator = Operator::start(&program, &scene.namespace, kubeconfig, log)?;
        let proxies = [Some(&proxy), hosted.as_ref().map(|hosted| &hosted.proxy)];
        for proxy in proxies.into_iter().flatten() {
            let operator = operator.clone();
            proxy.on_kill(move || {
                if let Err(error) = operator.restart() {
                    print(&format!("it cannot be started again: {error:#}"));
                }
            });
        }
        Ok(Stage {
            scene,
            history: Arc::clone(&self.history),
            proxy,
            hosted,
            operator,
            program,
            against,
            states: Mutex::default(),
            begun: OnceLock::new(),
            secrets: Mutex::default(),
            changed: Mutex::default(),
        })
    }

    /// Two runs without faults.
    pub async fn reference(&self, workload: &Workload, at_once: bool) -> Result<Reference> {
        let record = async || {
            let stage = self.stage(workload, Against::Recording, &[]).await?;
            (workload.run)(&stage).await?;
            let reference = Reference::default();
            let mut findings: Vec<Finding> = self.rest(&stage).await?.into_iter().collect();
            findings.extend(oracles::tokens(&stage).await?);
            findings.extend(oracles::check(
                &stage,
                workload.name,
                &reference.lives,
                None,
            ));
            findings.retain(|finding| finding.kind != Kind::Recreated);
            if let Some(finding) = findings.first() {
                bail!("{}: {}", finding.kind, finding.what);
            }
            let states = stage.states().clone();
            let changes = stage.history.changes(&stage.scene.namespace);
            let begun = stage.begun.get().copied();
            let recorded = Recorded::new(states, begun, &changes, &stage.records());
            self.leave(&stage, true).await;
            anyhow::Ok(recorded)
        };
        let (one, other) = if at_once {
            futures::try_join!(record(), record())?
        } else {
            (record().await?, record().await?)
        };
        Ok(Reference::from_runs(&one, &other))
    }

    /// What must not happen once all is done: writes that do not end, and a write after a restart.
    async fn rest(&self, stage: &Stage) -> Result<Option<Finding>> {
        let done = Instant::now();
        // What was on its way may still arrive, and so may what others note on what was made.
        let since = loop {
            let last = stage
                .proxy
                .last(stage::is_write)
                .map_or(done, |at| at.max(done));
            if last.elapsed() >= self.quiet || done.elapsed() > self.quiet * 3 {
                break Instant::now().checked_sub(self.quiet).unwrap_or(done);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let noise = |since, when| oracles::noise(stage, since, when);
        if let Some(noise) = noise(since, "with nothing to do") {
            return Ok(Some(noise));
        }
        stage.operator.restart()?;
        let since = Instant::now();
        tokio::time::sleep(self.quiet).await;
        stage.operator.look_after()?;
        // What fails for the first time now is said, and that is a write.
        if stage.done_since().is_some_and(|ago| ago < since.elapsed()) {
            return Ok(None);
        }
        Ok(noise(since, "after a restart with nothing to do"))
    }

    /// Runs a plan.
    pub async fn try_out(&self, plan: Plan, reference: Option<Arc<Reference>>) -> Outcome {
        let started = Instant::now();
        let tried = async {
            let reference = reference.context("there is no reference")?;
            let against = Against::Reference(Arc::clone(&reference));
            let workload = named(plan.workload).context("there is no such workload")?;
            let stage = self.stage(workload, against, &plan.faults).await?;
            let mut findings = Vec::new();
            // Each wait has its limit; this is for what waits without one.
            let run = tokio::time::timeout(LONGEST, (workload.run)(&stage)).await;
            match run.unwrap_or_else(|_| Err(anyhow!("it does not end"))) {
                Ok(()) => {
                    let noise = self.rest(&stage).await?;
                    // What works from an old list may write once more what is there already.
                    let old = plan
                        .faults
                        .iter()
                        .any(|(_, fault)| *fault == Fault::OldList);
                    findings.extend(noise.filter(|_| !old));
                    if let Err(error) = stage.stays().await {
                        findings.push(Finding::new(Kind::EndState, format!("later: {error:#}")));
                    }
                }
                Err(error) => findings.push(Finding::new(Kind::EndState, format!("{error:#}"))),
            }
            findings.extend(oracles::tokens(&stage).await?);
            let fault = plan.faults.first().map(|(_, fault)| *fault);
            findings.extend(oracles::check(
                &stage,
                workload.name,
                &reference.lives,
                fault,
            ));
            let reached = stage.done_since().is_some();
            self.leave(&stage, findings.is_empty()).await;
            anyhow::Ok((findings, reached))
        };
        let (findings, reached) = tried.await.unwrap_or_else(|error| {
            (
                vec![Finding::new(Kind::EndState, format!("{error:#}"))],
                true,
            )
        });
        Outcome {
            plan,
            findings,
            reached,
            took: started.elapsed(),
        }
    }

    /// The program ends; its log stays when there is something to read in it.
    async fn leave(&self, stage: &Stage, well: bool) {
        let namespace = &stage.scene.namespace;
        // The next one would look after these Clusters too.
        if !self.program.keeps_to_a_namespace()
            && let Err(error) = stage.clear_away().await
        {
            print(&format!("{namespace} is not cleared away: {error:#}"));
        }
        stage.operator.kill();
        self.history.forget(namespace);
        if well {
            let log = stage
                .scene
                .access
                .dir()
                .join("plans")
                .join(format!("{namespace}.log"));
            let _ = std::fs::remove_file(log);
        }
    }
}
