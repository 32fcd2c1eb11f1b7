//! Policies that come, change and go, one at a time: what is said of the others stays read.

use std::sync::Arc;

use super::Policies;
use super::cel::Expression;
use super::compile::{FreeRule, Policy};
use crate::v1beta2::ClusterPolicy;

impl Policies {
    /// The same with this one, instead of the one of its name: only this one is read.
    #[must_use]
    pub fn with(&self, policy: &ClusterPolicy) -> Self {
        let mut compiler = self.engine.reopen();
        let read = Arc::new(Policy::read(policy, &mut compiler));
        let mut list = self.others(&read.name);
        list.push(read);
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            list,
            engine: compiler.finish(),
        }
    }

    /// The same without the one of this name.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        Self {
            list: self.others(name),
            engine: self.engine.reopen().finish(),
        }
    }

    fn others(&self, name: &str) -> Vec<Arc<Policy>> {
        let others = self.list.iter().filter(|known| known.name != name);
        others.cloned().collect()
    }

    /// Whether most of what is kept is of policies that are gone or were changed: then it is time
    /// to read all that are there anew.
    pub fn is_sparse(&self) -> bool {
        const SLACK: usize = 256;
        let rules = self.list.iter().flat_map(|policy| &policy.rules);
        let used: usize = rules.map(FreeRule::places).sum();
        self.engine.kept() > SLACK + used
    }
}

impl FreeRule {
    fn places(&self) -> usize {
        let message = self.message_expression.as_ref();
        self.expression.places() + message.map_or(0, Expression::places)
    }
}
