//! What was found out about objects, and how it is shown.

use serde::Serialize;

use crate::escape;
use crate::output::table::{Cell, Table};
use crate::output::{Paint, Style};

/// What one rule says about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Result {
    Pass,
    /// It is broken, and the object refused.
    Refused,
    /// It is broken, and the object's author told.
    Warning,
    /// It is broken, and that is counted.
    Audit,
}

impl Result {
    const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Refused => "refused",
            Self::Warning => "warning",
            Self::Audit => "audit",
        }
    }

    const fn style(self) -> Style {
        match self {
            Self::Pass => Style::Good,
            Self::Refused => Style::Bad,
            Self::Warning => Style::Waiting,
            Self::Audit => Style::Dim,
        }
    }
}

/// One line about an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    pub result: Result,
    /// Name of the policy; left out for the rules of the kind itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    pub rule: String,
    /// What is wrong; empty when nothing is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What all rules say about an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// File and document that it comes from.
    pub source: String,
    pub kind: String,
    /// Its namespace; left out for objects that have none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    pub name: String,
    pub allowed: bool,
    pub results: Vec<Line>,
    /// Policies that don't select its namespace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_selected: Vec<String>,
}

/// What was found out about every object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether all of them would be accepted.
    pub allowed: bool,
    pub objects: Vec<Verdict>,
}

impl Report {
    /// The report for a person.
    pub fn render(&self, paint: Paint) -> String {
        let verdicts: Vec<String> = self
            .objects
            .iter()
            .map(|verdict| verdict.render(paint))
            .collect();
        verdicts.join("\n")
    }
}

impl Verdict {
    fn render(&self, paint: Paint) -> String {
        let word = if self.allowed {
            paint.apply(Style::Good, "accepted")
        } else {
            paint.apply(Style::Bad, "refused")
        };
        let slash = if self.namespace.is_empty() { "" } else { "/" };
        let head = format!(
            "{}: {} {}{slash}{}",
            self.source, self.kind, self.namespace, self.name
        );
        let mut text = format!("{}: {word}\n", escape::line(&head));
        let mut table = Table::new(["RESULT", "POLICY", "RULE", "MESSAGE"]);
        for line in &self.results {
            table.push(vec![
                Cell::styled(line.result.name(), line.result.style()),
                line.policy.as_deref().unwrap_or("-").into(),
                line.rule.as_str().into(),
                line.message.as_str().into(),
            ]);
        }
        for line in table.render(paint).lines() {
            text.extend(["  ", line, "\n"]);
        }
        if !self.not_selected.is_empty() {
            let names = self.not_selected.join(", ");
            text.extend(["  not for this namespace: ", &escape::line(&names), "\n"]);
        }
        text
    }
}
