//! Plans and failures, counted.

use std::collections::BTreeMap;

use super::machine::Outcome;
use super::oracles::Kind;

/// Plans and what failed, by workload, by fault and by what did not hold.
#[derive(Default)]
pub struct Summary {
    workloads: BTreeMap<&'static str, [usize; 3]>,
    faults: BTreeMap<String, [usize; 2]>,
    kinds: BTreeMap<Kind, usize>,
}

impl Summary {
    /// Workloads with too many plans that met no such request, with both counts: some come by chance, in
    /// both recordings and not again, but if a third of them do not, too little was tried.
    pub fn missed(&self) -> impl Iterator<Item = (&'static str, [usize; 2])> {
        let all = self.workloads.iter();
        all.filter(|(_, [plans, _, missed])| missed * 3 > plans + 9)
            .map(|(name, [plans, _, missed])| (*name, [*plans, *missed]))
    }

    /// How many ran.
    pub fn plans(&self) -> usize {
        self.workloads.values().map(|[plans, ..]| plans).sum()
    }

    /// Counts one more.
    pub fn add(&mut self, outcome: &Outcome) {
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
