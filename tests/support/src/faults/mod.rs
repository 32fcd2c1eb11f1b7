//! The machine that finds faults: workloads are run once more for every single thing that can happen
//! to every one of their requests, and each run has to come to what it comes to without it.
//!
//! A run has a namespace and a program of its own behind a [`Proxy`]; several run at once. What has
//! to hold is in `oracles`. The program needs no more than a kubeconfig, so any other operator of
//! the same API can stand in its place.

mod history;
mod keys;
mod operator;
mod oracles;
mod plan;
mod stage;
mod state;
mod workloads;

use std::collections::{BTreeMap, hash_map::DefaultHasher};
use std::hash::Hasher as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser as _;
use futures::StreamExt as _;
use mothership::proxy::{Fault, Point, Proxy};

use self::history::History;
use self::operator::{Operator, Program};
use self::oracles::{Finding, Kind};
use self::plan::{Plan, Recorded, Reference, Typed};
use self::stage::{Against, Stage};
use self::workloads::{ALL, Workload};
use crate::light::world::World;
use crate::runner::World as _;

/// The user that the tested programs are.
const USER: &str = "plans";

/// How many runs there are at a time: most of their time they wait.
const AT_ONCE: usize = 14;

/// Looks for faults: runs workloads of users with everything that can happen to each request.
#[derive(clap::Parser, Debug)]
#[command(name = "faults")]
struct Arguments {
    /// The operator to test, as a command line that reads KUBECONFIG; {namespace} is where its
    /// namespace belongs, and without one runs follow each other [default: this product's controller]
    #[arg(long)]
    operator: Option<String>,

    /// Only this workload; may be given several times
    #[arg(long)]
    workload: Vec<String>,

    /// Only this plan, as a failed one is shown: 'create / patch services kmc-one #1: hang'
    #[arg(long)]
    plan: Vec<Typed>,

    /// Of all plans one in this many, the same ones each time
    #[arg(long)]
    one_in: Option<u64>,

    /// Two faults in each run: so many pairs, chosen by the seed
    #[arg(long, default_value_t = 0)]
    pairs: usize,

    /// Chooses pairs
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Stop when so many plans have failed
    #[arg(long)]
    stop_after: Option<usize>,

    /// How long nothing may be written at the end of a run, in seconds
    #[arg(long)]
    quiet: Option<f64>,

    /// Print the plans and run none
    #[arg(long)]
    list: bool,

    /// Runs at a time
    #[arg(long)]
    test_threads: Option<usize>,

    /// As the standard test runner has it; everything is shown
    #[arg(long)]
    nocapture: bool,

    /// Only plans whose text has one of these in it
    filters: Vec<String>,
}

/// What a suite runs when nobody says otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// Names of workloads; all of them when empty.
    pub workloads: &'static [&'static str],
    /// Of their plans one in so many.
    pub one_in: u64,
    /// How long nothing may be written at the end of a run.
    pub quiet: Duration,
}

/// The main function of a suite.
pub fn main(scope: Scope) -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = tokio::runtime::Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            runtime.block_on(async {
                // What is dropped ends its processes.
                tokio::select! {
                    outcome = run(scope, &arguments) => outcome,
                    signal = ended_by_a_signal() => bail!("{signal}"),
                }
            })
        });
    match outcome {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(101),
        Err(error) => {
            print(&format!("\nno test could run: {error:#}"));
            ExitCode::from(101)
        }
    }
}

async fn ended_by_a_signal() -> String {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = [
        ("SIGINT", SignalKind::interrupt()),
        ("SIGTERM", SignalKind::terminate()),
    ];
    let waits = signals.into_iter().filter_map(|(name, kind)| {
        let mut signal = signal(kind).ok()?;
        Some(Box::pin(async move {
            signal.recv().await;
            format!("ended by {name}")
        }))
    });
    futures::future::select_all(waits).await.0
}

fn print(text: &str) {
    // A closed standard output is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// What every run shares.
struct Machine {
    world: World,
    history: Arc<History>,
    program: Program,
    /// It is this product's.
    own: bool,
    quiet: Duration,
    runs: AtomicUsize,
}

/// What came of a plan.
struct Outcome {
    plan: Plan,
    findings: Vec<Finding>,
    /// Whether the request came at all.
    reached: bool,
    took: Duration,
}

/// How many plans failed.
async fn run(scope: Scope, arguments: &Arguments) -> Result<usize> {
    let workloads = chosen(scope, arguments)?;
    let machine = Machine::start(scope, arguments).await?;
    let at_once = match arguments.test_threads {
        _ if !machine.program.keeps_to_a_namespace() => 1,
        threads => threads.unwrap_or(AT_ONCE).clamp(1, AT_ONCE),
    };
    let begun = Instant::now();
    let mut references = BTreeMap::new();
    let mut failed = 0;
    let recordings = workloads
        .iter()
        .map(async |workload| (workload, machine.reference(workload, at_once > 1).await));
    let mut recordings = futures::stream::iter(recordings).buffer_unordered(at_once.div_ceil(2));
    while let Some((workload, reference)) = recordings.next().await {
        match reference {
            Ok(reference) => {
                for place in reference.unstable() {
                    print(&format!(
                        "{}: {place} is not the same in two runs",
                        workload.name
                    ));
                }
                references.insert(workload.name, Arc::new(reference));
            }
            Err(error) => {
                failed += 1;
                print(&format!(
                    "test {} ... FAILED\n    without any fault: {error:#}",
                    workload.name
                ));
            }
        }
    }
    drop(recordings);
    let mut passed = references.len();
    let plans = plans(scope, arguments, &references)?;
    ensure!(
        failed > 0 || !plans.is_empty(),
        "no plan fits what was asked for"
    );
    print(&format!(
        "{} workloads recorded after {:.0} s; {} plans",
        references.len(),
        begun.elapsed().as_secs_f64(),
        plans.len()
    ));
    if arguments.list {
        for plan in &plans {
            print(&plan.to_string());
        }
        machine.end(true).await?;
        return Ok(failed);
    }
    let runs = plans.into_iter().map(async |plan| {
        let reference = references.get(plan.workload).cloned();
        machine.try_out(plan, reference).await
    });
    let mut outcomes = futures::stream::iter(runs).buffer_unordered(at_once);
    let mut summary = Summary::default();
    while let Some(mut outcome) = outcomes.next().await {
        if !arguments.plan.is_empty() && !outcome.reached {
            outcome
                .findings
                .push(Finding::new(Kind::EndState, "there was no such request"));
        }
        if outcome.findings.is_empty() {
            passed += 1;
        } else {
            failed += 1;
            print(&format!(
                "test {} ... FAILED ({:.1} s)",
                outcome.plan,
                outcome.took.as_secs_f64()
            ));
            for finding in &outcome.findings {
                print(&format!("    {}: {}", finding.kind, finding.what));
            }
        }
        summary.add(&outcome);
        if arguments.stop_after.is_some_and(|most| failed >= most) {
            print("stopped: there may be more");
            break;
        }
    }
    drop(outcomes);
    print(&summary.to_string());
    let word = if failed == 0 { "ok" } else { "FAILED" };
    print(&format!(
        "\nall in {:.0} s\ntest result: {word}. {passed} passed; {failed} failed",
        begun.elapsed().as_secs_f64()
    ));
    machine.end(failed == 0).await?;
    Ok(failed)
}

fn chosen(scope: Scope, arguments: &Arguments) -> Result<Vec<&'static Workload>> {
    let typed: Vec<&str> = arguments
        .workload
        .iter()
        .map(String::as_str)
        .chain(arguments.plan.iter().map(|plan| plan.workload.as_str()))
        .collect();
    let names = if typed.is_empty() {
        scope.workloads.to_vec()
    } else {
        typed
    };
    for name in &names {
        ensure!(
            ALL.iter().any(|workload| workload.name == *name),
            "there is no workload {name:?}; there are {}",
            ALL.iter()
                .map(|workload| workload.name)
                .collect::<Vec<_>>()
                .join(", ")
        );
    }
    Ok(ALL
        .iter()
        .filter(|workload| names.is_empty() || names.contains(&workload.name))
        .collect())
}

fn plans(
    scope: Scope,
    arguments: &Arguments,
    references: &BTreeMap<&'static str, Arc<Reference>>,
) -> Result<Vec<Plan>> {
    if !arguments.plan.is_empty() {
        return arguments
            .plan
            .iter()
            .map(|typed| {
                let name = references.keys().find(|name| **name == typed.workload);
                Ok(Plan {
                    workload: name.copied().context("its workload cannot be recorded")?,
                    faults: typed.faults.clone(),
                })
            })
            .collect();
    }
    let singles: Vec<Plan> = references
        .iter()
        .flat_map(|(name, reference)| reference.singles(name))
        .filter(|plan| {
            let workload = ALL.iter().find(|workload| workload.name == plan.workload);
            workload.is_none_or(|workload| hash(&plan.to_string()) % workload.one_in == 0)
        })
        .collect();
    let all = if arguments.pairs > 0 {
        pairs(&singles, arguments.pairs, arguments.seed)
    } else {
        let one_in = arguments.one_in.unwrap_or(scope.one_in).max(1);
        singles
            .into_iter()
            .filter(|plan| hash(&plan.to_string()) % one_in == 0)
            .collect()
    };
    let wanted = |plan: &Plan| {
        let text = plan.to_string();
        arguments.filters.is_empty() || arguments.filters.iter().any(|filter| text.contains(filter))
    };
    Ok(all.into_iter().filter(wanted).collect())
}

/// Stable from run to run.
fn hash(text: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn pairs(singles: &[Plan], count: usize, seed: u64) -> Vec<Plan> {
    let mut all = Vec::with_capacity(count);
    for number in 0..count {
        let pick = |which: u8| {
            let place =
                hash(&(seed, number, which)) % u64::try_from(singles.len()).unwrap_or(1).max(1);
            usize::try_from(place)
                .ok()
                .and_then(|place| singles.get(place))
        };
        let Some(first) = pick(0) else { continue };
        let point = |plan: &Plan| plan.faults.first().map(|(point, _)| point.clone());
        let same: Vec<&Plan> = singles
            .iter()
            .filter(|plan| plan.workload == first.workload && point(plan) != point(first))
            .collect();
        let place = hash(&(seed, number, 1_u8)) % u64::try_from(same.len()).unwrap_or(1).max(1);
        let second = usize::try_from(place)
            .ok()
            .and_then(|place| same.get(place));
        let faults = first
            .faults
            .iter()
            .chain(second.into_iter().flat_map(|plan| &plan.faults));
        all.push(Plan {
            workload: first.workload,
            faults: faults.cloned().collect(),
        });
    }
    all
}

impl Machine {
    async fn start(scope: Scope, arguments: &Arguments) -> Result<Self> {
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
        Ok(Self {
            world,
            history,
            program,
            own: arguments.operator.is_none(),
            quiet: arguments.quiet.map_or(scope.quiet, Duration::from_secs_f64),
            runs: AtomicUsize::new(0),
        })
    }

    async fn end(self, well: bool) -> Result<()> {
        drop(self.history);
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
        for (point, fault) in faults {
            proxy.inject(point.clone(), *fault);
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
        proxy.on_kill({
            let operator = operator.clone();
            move || {
                if let Err(error) = operator.restart() {
                    print(&format!("it cannot be started again: {error:#}"));
                }
            }
        });
        Ok(Stage {
            scene,
            history: Arc::clone(&self.history),
            proxy,
            operator,
            program,
            against,
            states: Mutex::default(),
        })
    }

    /// Two runs without faults.
    async fn reference(&self, workload: &Workload, at_once: bool) -> Result<Reference> {
        let record = async || {
            let stage = self.stage(workload, Against::Recording, &[]).await?;
            (workload.run)(&stage).await?;
            let reference = Reference::default();
            let mut findings: Vec<Finding> = self.rest(&stage).await?.into_iter().collect();
            findings.extend(oracles::check(&stage, workload.name, &reference, None));
            findings.retain(|finding| finding.kind != Kind::Recreated);
            if let Some(finding) = findings.first() {
                bail!("{}: {}", finding.kind, finding.what);
            }
            let recorded = Recorded::of(&stage);
            self.leave(&stage, true).await;
            anyhow::Ok(recorded)
        };
        let (one, other) = if at_once {
            futures::try_join!(record(), record())?
        } else {
            (record().await?, record().await?)
        };
        Ok(Reference::of(&one, &other))
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
        if stage
            .proxy
            .done_since()
            .is_some_and(|ago| ago < since.elapsed())
        {
            return Ok(None);
        }
        Ok(noise(since, "after a restart with nothing to do"))
    }

    async fn try_out(&self, plan: Plan, reference: Option<Arc<Reference>>) -> Outcome {
        let started = Instant::now();
        let tried = async {
            let reference = reference.context("there is no reference")?;
            let against = Against::Reference(Arc::clone(&reference));
            let workload = ALL.iter().find(|workload| workload.name == plan.workload);
            let workload = workload.context("there is no such workload")?;
            let stage = self.stage(workload, against, &plan.faults).await?;
            let mut findings = Vec::new();
            match (workload.run)(&stage).await {
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
            let fault = plan.faults.first().map(|(_, fault)| *fault);
            findings.extend(oracles::check(&stage, workload.name, &reference, fault));
            let reached = stage.proxy.done_since().is_some();
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

/// Plans and what failed, by workload, by fault and by what did not hold.
#[derive(Default)]
struct Summary {
    workloads: BTreeMap<&'static str, [usize; 3]>,
    faults: BTreeMap<String, [usize; 2]>,
    kinds: BTreeMap<Kind, usize>,
}

impl Summary {
    fn add(&mut self, outcome: &Outcome) {
        let failed = usize::from(!outcome.findings.is_empty());
        let [plans, failures, missed] = self.workloads.entry(outcome.plan.workload).or_default();
        *plans += 1;
        *failures += failed;
        *missed += usize::from(!outcome.reached);
        for (_, fault) in &outcome.plan.faults {
            let [plans, failures] = self.faults.entry(fault.to_string()).or_default();
            *plans += 1;
            *failures += failed;
        }
        let mut kinds: Vec<Kind> = outcome
            .findings
            .iter()
            .map(|finding| finding.kind)
            .collect();
        kinds.sort();
        kinds.dedup();
        for kind in kinds {
            *self.kinds.entry(kind).or_default() += 1;
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "\nworkload            plans  failed  not reached")?;
        for (name, [plans, failed, missed]) in &self.workloads {
            writeln!(f, "{name:18} {plans:6} {failed:7} {missed:12}")?;
        }
        writeln!(f, "\nfault               plans  failed")?;
        for (name, [plans, failed]) in &self.faults {
            writeln!(f, "{name:18} {plans:6} {failed:7}")?;
        }
        writeln!(f, "\nwhat did not hold          plans")?;
        for (kind, plans) in &self.kinds {
            writeln!(f, "{:24} {plans:7}", kind.to_string())?;
        }
        Ok(())
    }
}
