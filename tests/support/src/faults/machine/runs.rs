//! Runs with and without faults, and what came of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use mothership::proxy::{Fault, Point};

use super::Machine;
use crate::faults::oracles::{self, Finding, Kind};
use crate::faults::plan::Plan;
use crate::faults::reference::{FIRST, Recorded, Reference, Rehearsed};
use crate::faults::rest;
use crate::faults::stage::Against;
use crate::faults::workloads::{Workload, named};

/// No run of a workload takes so long.
const LONGEST: Duration = Duration::from_secs(900);

/// Its users are not the API server, so that a change after its start can show how that went.
fn is_disturbed_at_its_start(workload: &Workload) -> bool {
    FIRST.contains(&workload.name) && workload.door.is_none()
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

async fn twice<T>(at_once: bool, run: impl AsyncFn() -> Result<T>) -> Result<(T, T)> {
    if at_once {
        futures::try_join!(run(), run())
    } else {
        Ok((run().await?, run().await?))
    }
}

/// What a run has come to.
struct Went {
    /// What did not hold.
    findings: Vec<Finding>,
    /// Whether all that was to be disturbed came.
    reached: bool,
    asked: Rehearsed,
}

impl Machine {
    /// Two runs without faults that wait until all is silent, and two that go on as those with faults do.
    pub async fn reference(&self, workload: &Workload, at_once: bool) -> Result<Reference> {
        let (one, other) = twice(at_once, async || self.record(workload).await).await?;
        let reference = Arc::new(Reference::from_runs(&one, &other));
        let rehearse = async || {
            let Went {
                findings, asked, ..
            } = self.go(workload, &reference, &[]).await?;
            if let Some(finding) = findings.first() {
                bail!("{}: {}", finding.kind, finding.what);
            }
            Ok(asked)
        };
        let (one, other) = twice(at_once, rehearse).await?;
        Ok(Reference::clone(&reference).rehearsed(&one, &other))
    }

    async fn record(&self, workload: &Workload) -> Result<Recorded> {
        let stage = self.stage(workload, Against::Recording, &[]).await?;
        (workload.run)(&stage).await?;
        let mut findings: Vec<Finding> =
            rest::rests(&stage, self.quiet).await.into_iter().collect();
        findings.extend(rest::starts_again(&stage, self.quiet).await?);
        // The change after that is there to see how it has started.
        if is_disturbed_at_its_start(workload) {
            rest::follows(&stage).await?;
        }
        findings.extend(oracles::tokens(&stage).await?);
        findings.extend(oracles::closed(&stage).await);
        let lives = BTreeMap::new();
        findings.extend(oracles::check(&stage, workload.name, &lives, None));
        findings.retain(|finding| finding.kind != Kind::Recreated);
        if let Some(finding) = findings.first() {
            bail!("{}: {}", finding.kind, finding.what);
        }
        let states = stage.states().clone();
        let changes = stage.history.changes(&stage.scene.namespace);
        self.leave(&stage, true).await;
        Ok(Recorded::new(states, &changes))
    }

    /// Runs a workload with these faults, beyond its end.
    async fn go(
        &self,
        workload: &Workload,
        reference: &Arc<Reference>,
        faults: &[(Point, Fault)],
    ) -> Result<Went> {
        let against = Against::Reference(Arc::clone(reference));
        let stage = self.stage(workload, against, faults).await?;
        let mut findings = Vec::new();
        // Each wait has its limit; this is for what waits without one.
        let run = tokio::time::timeout(LONGEST, (workload.run)(&stage)).await;
        // A webhook has started again on the way already.
        let records = workload.door.map(|_| stage.records());
        match run.unwrap_or_else(|_| Err(anyhow!("it does not end"))) {
            Ok(()) => {
                let later = is_disturbed_at_its_start(workload);
                let noise = rest::after_all(&stage, self.quiet, later).await?;
                // What works from an old list may write once more what is there already.
                let old = faults.iter().any(|(_, fault)| *fault == Fault::OldList);
                let counts = |finding: &Finding| !old || finding.kind != Kind::Noise;
                findings.extend(noise.into_iter().filter(counts));
                if let Err(error) = stage.stays().await {
                    findings.push(Finding::new(Kind::EndState, format!("later: {error:#}")));
                }
            }
            Err(error) => findings.push(Finding::new(Kind::EndState, format!("{error:#}"))),
        }
        let records = records.unwrap_or_else(|| stage.records());
        findings.extend(oracles::tokens(&stage).await?);
        findings.extend(oracles::closed(&stage).await);
        let fault = faults.first().map(|(_, fault)| *fault);
        let lives = &reference.lives;
        findings.extend(oracles::check(&stage, workload.name, lives, fault));
        let reached = stage.done_since().is_some();
        self.leave(&stage, findings.is_empty()).await;
        Ok(Went {
            findings,
            reached,
            asked: Rehearsed::new(stage.begun.get().copied(), &records),
        })
    }

    /// Runs a plan.
    pub async fn try_out(&self, plan: Plan, reference: Option<Arc<Reference>>) -> Outcome {
        let started = Instant::now();
        let tried = async {
            let reference = reference.context("there is no reference")?;
            let workload = named(plan.workload).context("there is no such workload")?;
            self.go(workload, &reference, &plan.faults).await
        };
        let Went {
            findings, reached, ..
        } = tried.await.unwrap_or_else(|error| Went {
            findings: vec![Finding::new(Kind::EndState, format!("{error:#}"))],
            reached: true,
            asked: Rehearsed::default(),
        });
        Outcome {
            plan,
            findings,
            reached,
            took: started.elapsed(),
        }
    }
}
