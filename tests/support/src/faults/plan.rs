//! What is done to which request of a workload.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result};
use mothership::proxy::{Fault, Point};

/// One thing to do to one request of a workload.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Plan {
    /// The workload.
    pub workload: &'static str,
    /// What is done to which requests.
    pub faults: Vec<(Point, Fault)>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.workload)?;
        for (point, fault) in &self.faults {
            write!(f, " / {point}: {fault}")?;
        }
        Ok(())
    }
}

/// What a person types to have one plan again: a workload, and what is done to which requests.
#[derive(Clone, Debug)]
pub struct Typed {
    /// Name of the workload.
    pub workload: String,
    /// What is done to which requests.
    pub faults: Vec<(Point, Fault)>,
}

impl FromStr for Typed {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.split(" / ");
        let workload = parts.next().unwrap_or_default().to_owned();
        let fault = |part: &str| {
            let (point, fault) = part
                .rsplit_once(": ")
                .with_context(|| format!("{part:?} must be a request and a fault: … #1: hang"))?;
            Ok((point.parse()?, fault.parse()?))
        };
        Ok(Self {
            workload,
            faults: parts.map(fault).collect::<Result<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_can_be_typed_as_it_is_shown() {
        let point: Point = "list secrets app=a,b #1".parse().unwrap();
        let plan = Plan {
            workload: "create",
            faults: vec![(point.clone(), Fault::Hang), (point, Fault::Lasting(500))],
        };
        let typed: Typed = plan.to_string().parse().unwrap();
        assert_eq!(typed.workload, plan.workload);
        assert_eq!(typed.faults, plan.faults);
        assert!("create / patch services a: hang".parse::<Typed>().is_err());
    }
}
