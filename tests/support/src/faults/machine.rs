//! Runs workloads and plans, each in a namespace of its own.

mod runs;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use anyhow::Result;
use mothership::proxy::{Fault, Point, Proxy};

pub use self::runs::Outcome;

use super::choice::{Arguments, Scope};
use super::door::{self, Door, Doors};
use super::history::History;
use super::hosted::{self, Backing, Hosted};
use super::operator::{Operator, Program};
use super::print;
use super::stage::{self, Against, Stage};
use super::workloads::Workload;
use crate::light::world::{World, disregard_webhook};
use crate::runner::World as _;

/// The user that the tested programs are.
const USER: &str = "plans";

/// How long nobody leads after who did was killed.
const LEASE: Duration = Duration::from_secs(20);

const KILLS: [Fault; 2] = [Fault::KillBefore, Fault::KillAfter];

/// What this product's controller is told.
const CONTROLLER: [&str; 4] = [
    "--namespace={namespace}",
    "--health-address=127.0.0.1:0",
    "--log=info,controller=debug,kube_runtime=warn",
    "--log-format=text",
];

/// What this product's webhook is told.
const WEBHOOK: [&str; 9] = [
    "--namespace={namespace}",
    "--configuration={namespace}",
    "--listen={listen}",
    "--health-address={health}",
    "--san=127.0.0.1",
    "--identity=a",
    "--drain=1s",
    "--log=info,webhook=debug,kube_runtime=warn",
    "--log-format=text",
];

/// What every run shares.
pub struct Machine {
    world: World,
    history: Arc<History>,
    backing: Option<Backing>,
    doors: Option<Arc<Doors>>,
    controller: Program,
    webhook: Program,
    /// It is this product's.
    own: bool,
    quiet: Duration,
    runs: AtomicUsize,
}

impl Machine {
    /// With the product installed, the program that is asked for, hosted APIs if some are to be
    /// served, and what webhooks need if some are tested.
    pub async fn start(
        scope: Scope,
        arguments: &Arguments,
        workloads: &[&Workload],
    ) -> Result<Self> {
        let serves = workloads.iter().any(|workload| workload.serves);
        let doors = workloads.iter().any(|workload| workload.door.is_some());
        let world = World::large().await?;
        let doors = if doors {
            Some(Doors::start(&world.admin()).await?)
        } else {
            None
        };
        disregard_webhook(&world.admin()).await?;
        world.grant(USER).await?;
        world.grant_leases(USER).await?;
        let program = |own: &Path, flags: &[&str]| {
            let own = own.display().to_string();
            let words = match &arguments.operator {
                Some(line) => line.split_whitespace().collect(),
                None => [&[own.as_str()], flags].concat(),
            };
            Program::new(words.into_iter().map(str::to_owned).collect())
        };
        let controller = program(world.program(), &CONTROLLER)?;
        let webhook = program(world.webhook_program(), &WEBHOOK)?;
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
            doors,
            controller,
            webhook,
            own: arguments.operator.is_none(),
            quiet: arguments.quiet.map_or(scope.quiet, Duration::from_secs_f64),
            runs: AtomicUsize::new(0),
        })
    }

    /// Whether several can run beside each other, each in its namespace.
    pub fn keeps_to_a_namespace(&self) -> bool {
        self.controller.keeps_to_a_namespace()
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
        let is_any = |these: &[Fault]| faults.iter().any(|(_, fault)| these.contains(fault));
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let user = workload.door.map_or(USER, |_| door::USER);
        let scene = self.world.space(&format!("plan-{number:05}"), user).await?;
        let proxy = Arc::new(Proxy::start(&scene.access, user, &[]).await?);
        let hosted = match &self.backing {
            Some(backing) if workload.serves => {
                Some(Hosted::start(backing, &self.history, &scene).await?)
            }
            _ => None,
        };
        let door = match (&self.doors, workload.door) {
            (Some(doors), Some(way)) => {
                let door = Door::start(doors, &self.history, &scene.namespace, way).await?;
                for shown in [Some(&proxy), door.proxy.as_ref()].into_iter().flatten() {
                    shown.show(door.view());
                }
                Some(door)
            }
            _ => None,
        };
        let asked = door.as_ref().and_then(|door| door.proxy.as_ref());
        let places = [
            (hosted::PLACE, hosted.as_ref().map(|hosted| &hosted.proxy)),
            (door::PLACE, asked),
        ];
        for (point, fault) in faults {
            let place = places
                .iter()
                .find(|(place, _)| point.call.starts_with(place));
            let at = place.and_then(|(_, proxy)| *proxy).unwrap_or(&proxy);
            let later = match &against {
                Against::Reference(reference) => {
                    reference.is_later(workload.begins_as.is_some(), point, *fault)
                }
                Against::Recording => false,
            };
            at.inject(point.clone(), *fault, later);
        }
        let folder = scene.access.dir().join("plans");
        std::fs::create_dir_all(&folder)?;
        let kubeconfig = proxy.kubeconfig(&scene.access, &folder)?;
        let log = folder.join(format!("{}.log", scene.namespace));
        let mut program = match &door {
            None => self.controller.clone(),
            Some(door) => {
                let mut program = self.webhook.clone();
                program.fill("{listen}", &door.webhook.to_string());
                program.fill("{health}", &door.health.to_string());
                program
            }
        };
        if self.own && workload.lease {
            let lease = [
                "--leader-elect",
                "--lease-namespace={namespace}",
                "--identity=a",
            ];
            program.add(&lease);
        }
        let operator = Operator::start(&program, &scene.namespace, kubeconfig, log)?;
        let before = places.iter().filter_map(|(_, proxy)| *proxy);
        for proxy in std::iter::once(&proxy).chain(before) {
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
            door,
            operator,
            program,
            against,
            states: Mutex::default(),
            others: Mutex::default(),
            begun: OnceLock::new(),
            secrets: Mutex::default(),
            changed: Mutex::default(),
            gives_up: if is_any(&[Fault::Hang]) {
                stage::RECOVERS
            } else if is_any(&KILLS) {
                LEASE
            } else {
                Duration::ZERO
            },
            may_be_old: is_any(&[Fault::OldList]),
            may_lose_keys: is_any(&KILLS),
        })
    }

    /// The program ends; its log stays when there is something to read in it.
    async fn leave(&self, stage: &Stage, well: bool) {
        let namespace = &stage.scene.namespace;
        // The next one would look after these Clusters too.
        if !self.keeps_to_a_namespace()
            && let Err(error) = stage.clear_away().await
        {
            print(&format!("{namespace} is not cleared away: {error:#}"));
        }
        stage.operator.kill();
        if let Some(door) = &stage.door
            && let Err(error) = door.end().await
        {
            print(&format!(
                "the door of {namespace} is still there: {error:#}"
            ));
        }
        self.history.forget(namespace);
        if well {
            for operator in stage.operators() {
                operator.forget_log();
            }
        }
    }
}
