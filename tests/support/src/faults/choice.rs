//! What is run: the command line, and the plans that follow from it.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::plan::{Plan, Typed};
use super::reference::Reference;
use super::workloads::{ALL, Workload, named};

/// Looks for faults: runs workloads of users with everything that can happen to each request.
#[derive(clap::Parser, Debug)]
#[command(name = "faults")]
pub struct Arguments {
    /// The operator to test, as a command line that reads KUBECONFIG; {namespace} is where its
    /// namespace belongs, and without one runs follow each other; a webhook is told by {listen} and
    /// {health} where [default: this product's]
    #[arg(long)]
    pub operator: Option<String>,

    /// Only this workload; may be given several times
    #[arg(long)]
    pub workload: Vec<String>,

    /// Only this plan, as a failed one is shown: 'create / patch services kmc-one #1: hang'
    #[arg(long)]
    pub plan: Vec<Typed>,

    /// Of all plans one in this many, the same ones each time
    #[arg(long)]
    pub one_in: Option<u64>,

    /// Which of them, from 0: all parts together are all plans
    #[arg(long, default_value_t = 0, requires = "one_in")]
    pub part: u64,

    /// Only those that come after this plan, as a run says that was interrupted
    #[arg(long)]
    pub after: Option<String>,

    /// Two faults in each run: so many pairs, chosen by the seed
    #[arg(long, default_value_t = 0)]
    pub pairs: usize,

    /// Chooses pairs
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// Stop when so many plans have failed
    #[arg(long)]
    pub stop_after: Option<usize>,

    /// How long nothing may be written at the end of a run, in seconds
    #[arg(long)]
    pub quiet: Option<f64>,

    /// Print the plans and run none
    #[arg(long)]
    pub list: bool,

    /// Runs at a time
    #[arg(long)]
    pub test_threads: Option<usize>,

    /// As the standard test runner has it; everything is shown
    #[arg(long)]
    pub nocapture: bool,

    /// Only plans whose text has one of these in it
    pub filters: Vec<String>,
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
    /// How many runs there are at a time: most of their time they wait.
    pub at_once: usize,
}

/// The workloads that are asked for.
pub fn chosen(scope: Scope, arguments: &Arguments) -> Result<Vec<&'static Workload>> {
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
            named(name).is_some(),
            "there is no workload {name:?}; there are {}",
            ALL.iter()
                .map(|workload| workload.name)
                .collect::<Vec<_>>()
                .join(", ")
        );
    }
    let chosen = ALL.iter().filter(|workload| match names.as_slice() {
        // Another operator is a controller, unless somebody says what it is a webhook for.
        [] => arguments.operator.is_none() || workload.door.is_none(),
        names => names.contains(&workload.name),
    });
    let chosen: Vec<_> = chosen.collect();
    ensure!(
        arguments.operator.is_none()
            || chosen.windows(2).all(
                |pair| matches!(pair, [one, other] if one.door.is_some() == other.door.is_some())
            ),
        "an operator is either a controller or a webhook"
    );
    Ok(chosen)
}

/// The plans that are asked for.
pub fn plans(
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
        .flat_map(|(name, reference)| {
            let begins_as = named(name).and_then(|workload| workload.begins_as);
            let other = begins_as.and_then(|other| references.get(other));
            reference.singles(name, other.map(Arc::as_ref))
        })
        .filter(|plan| hash(&plan.to_string()) % seldom(plan) == 0)
        .collect();
    let all = if arguments.pairs > 0 {
        pairs(&singles, arguments.pairs, arguments.seed)
    } else {
        let one_in = arguments.one_in.unwrap_or(scope.one_in).max(1);
        ensure!(arguments.part < one_in, "--part must be less than {one_in}");
        singles
            .into_iter()
            .filter(|plan| hash(&plan.to_string()) / seldom(plan) % one_in == arguments.part)
            .collect()
    };
    let wanted = |plan: &Plan| {
        let text = plan.to_string();
        arguments.filters.is_empty() || arguments.filters.iter().any(|filter| text.contains(filter))
    };
    let mut all: Vec<Plan> = all.into_iter().filter(wanted).collect();
    // Those of a workload that is much at once, or waits long, do not come together.
    let place = |text: String| (hash(&text), text);
    all.sort_by_cached_key(|plan| place(plan.to_string()));
    if let Some(last) = &arguments.after {
        let last = place(last.clone());
        all.retain(|plan| place(plan.to_string()) > last);
    }
    Ok(all)
}

/// Of how many plans of its workload one is run.
fn seldom(plan: &Plan) -> u64 {
    named(plan.workload).map_or(1, |workload| workload.one_in)
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
