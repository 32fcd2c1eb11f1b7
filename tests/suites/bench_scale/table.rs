//! Figures for people, and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::figures::{Beside, Figures};
use super::goals::goals;
use super::place::Who;

/// A figure by its name, in the order of the table.
fn rows(figures: &Figures) -> Vec<(String, Option<f64>)> {
    let restart = &figures.restart;
    let mut rows = vec![
        (
            "half of them have all children, s".to_owned(),
            figures.half_after,
        ),
        ("all have all children, s".to_owned(), figures.all_after),
        ("last write, s".to_owned(), Some(figures.settled_after)),
        ("CPU until then, s".to_owned(), Some(figures.cpu)),
        ("CPU until settled, s".to_owned(), Some(figures.cpu_settled)),
    ];
    for (name, cpu) in &figures.cpu_others {
        rows.push((format!("  {name}"), Some(*cpu)));
    }
    rows.extend([
        ("memory at most, MiB".to_owned(), Some(figures.peak_mib)),
        ("memory settled, MiB".to_owned(), Some(figures.settled_mib)),
        ("  proportional".to_owned(), Some(figures.settled_pss_mib)),
        ("requests a Cluster".to_owned(), Some(figures.requests_each)),
    ]);
    let often = figures.requests.iter().filter(|(_, times)| **times >= 0.05);
    for (what, times) in often {
        rows.push((format!("  {what}"), Some(*times)));
    }
    rows.extend([
        (
            "idle, % of a core".to_owned(),
            Some(figures.idle_cpu * 100.0),
        ),
        (
            "idle, requests a minute".to_owned(),
            Some(figures.idle_requests),
        ),
    ]);
    for (kind, after) in &figures.repaired_after {
        rows.push((format!("a deleted one is back, s: {kind}"), *after));
    }
    rows.extend([
        ("restart: ready, s".to_owned(), restart.ready_after),
        (
            "restart: first repair, s".to_owned(),
            restart.repaired_after,
        ),
        (
            "restart: nothing more to do, s".to_owned(),
            restart.synced_after,
        ),
        ("restart: CPU, s".to_owned(), Some(restart.cpu)),
        ("addresses a Cluster".to_owned(), Some(figures.cluster_ips)),
    ]);
    rows
}

fn rows_beside(figures: &Beside) -> Vec<(String, Option<f64>)> {
    vec![
        ("alone, s".to_owned(), Some(figures.alone)),
        ("made together with them, s".to_owned(), figures.together),
        ("made while they wait, s".to_owned(), figures.later),
        (
            "idle, % of a core".to_owned(),
            Some(figures.idle_cpu * 100.0),
        ),
        (
            "idle, requests a minute".to_owned(),
            Some(figures.idle_requests),
        ),
    ]
}

fn middle(mut of: Vec<f64>) -> Option<f64> {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied()
}

/// The middle of the figures of several rounds, by name, for each operator.
type Column = Vec<(String, Option<f64>)>;

fn column<F>(all: &[F], who: impl Fn(&F) -> bool, rows: impl Fn(&F) -> Column) -> Column {
    let each: Vec<Column> = all
        .iter()
        .filter(|figures| who(figures))
        .map(rows)
        .collect();
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in each.iter().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let of = |name: &String| {
        let same = |row: &&(String, Option<f64>)| row.0 == *name;
        let found = each.iter().filter_map(|rows| rows.iter().find(same)?.1);
        middle(found.collect())
    };
    names
        .into_iter()
        .map(|name| (name.clone(), of(name)))
        .collect()
}

fn value(number: Option<f64>) -> String {
    match number {
        None => "-".to_owned(),
        Some(number) if number.abs() >= 100.0 => format!("{number:.0}"),
        Some(number) if number.abs() >= 1.0 => format!("{number:.2}"),
        Some(number) => format!("{number:.3}"),
    }
}

fn print(text: &mut String, title: &str, ours: &Column, other: &Column) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n{title}");
    let of: BTreeMap<&str, Option<f64>> = other
        .iter()
        .map(|(name, number)| (name.as_str(), *number))
        .collect();
    if of.is_empty() {
        for (name, number) in ours {
            let _ = writeln!(text, "  {name:42} {:>10}", value(*number));
        }
        return;
    }
    let _ = writeln!(
        text,
        "  {:42} {:>10} {:>10} {:>8}",
        "", "ours", "other", "ratio"
    );
    let has = |name: &String| ours.iter().any(|(ours, _)| ours == name);
    let only = other
        .iter()
        .filter(|(name, _)| !has(name))
        .map(|(name, _)| (name, None));
    for (name, number) in ours
        .iter()
        .map(|(name, number)| (name, *number))
        .chain(only)
    {
        let other = of.get(name.as_str()).copied().flatten();
        let ratio = number.zip(other).map(|(ours, other)| ours / other);
        let ratio = ratio.filter(|ratio| ratio.is_finite());
        let _ = writeln!(
            text,
            "  {name:42} {:>10} {:>10} {:>8}",
            value(number),
            value(other),
            value(ratio)
        );
    }
}

pub fn text(all: &[Figures], beside: &[Beside]) -> String {
    let mut text = String::new();
    let mut sizes: Vec<usize> = all.iter().map(|figures| figures.clusters).collect();
    sizes.dedup();
    for size in sizes {
        let of = |who: Who| {
            let same = move |f: &Figures| f.clusters == size && f.operator == who;
            column(all, same, rows)
        };
        let title = format!("{size} Clusters at once");
        print(&mut text, &title, &of(Who::Ours), &of(Who::Other));
    }
    if let Some(first) = beside.first() {
        let of = |who: Who| column(beside, move |f: &Beside| f.operator == who, rows_beside);
        let title = format!(
            "A normal Cluster beside {} without an address",
            first.pending
        );
        print(&mut text, &title, &of(Who::Ours), &of(Who::Other));
    }
    let _ = writeln!(text, "\nGoals");
    for goal in goals(all, beside) {
        let mark = if goal.is > goal.most { "MISSED" } else { "" };
        let _ = writeln!(
            text,
            "  {:62} {:>10} of {:>6} {mark}",
            goal.what,
            value(Some(goal.is)),
            value(Some(goal.most))
        );
    }
    text
}

pub fn json(all: &[Figures], beside: &[Beside]) -> Value {
    let goals: Vec<Value> = goals(all, beside)
        .into_iter()
        .map(|goal| {
            json!({"what": goal.what, "is": goal.is, "most": goal.most,
                "met": goal.is <= goal.most})
        })
        .collect();
    json!({"bursts": all, "besidePending": beside, "goals": goals})
}
