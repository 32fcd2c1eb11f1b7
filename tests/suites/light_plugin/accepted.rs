//! Kubeconfigs and surroundings that kubectl takes or refuses: the plugin does the same with each.
//!
//! Two things differ on purpose. Where nothing says who asks, kubectl asks for a name and a password
//! at the terminal, and the plugin goes on as nobody. And `--token` counts before a `tokenFile`, where
//! kubectl sends what is in the file.

mod authorities;
mod files;
mod proxies;
mod who;

use anyhow::Result;

use crate::oracle::{Case, Met, Oracle};

/// A kubeconfig with one of each.
fn one(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters:\n- name: c\n  cluster: {{{cluster}}}\n\
         users:\n- name: u\n  user: {{{user}}}\n\
         contexts:\n- name: c\n  context: {{cluster: c, user: u}}\n"
    )
}

fn case(name: &'static str, text: impl Into<Vec<u8>>) -> Case {
    Case {
        name,
        files: vec![text.into()],
        ..Case::default()
    }
}

fn flagged(name: &'static str, text: &str, flags: &str) -> Case {
    Case {
        // A word of '' is one that a script left empty.
        flags: flags
            .split(' ')
            .map(|word| word.replace("''", ""))
            .collect(),
        ..case(name, text)
    }
}

fn surrounded(name: &'static str, text: &str, environment: &[(&'static str, &str)]) -> Case {
    let environment = environment.iter();
    Case {
        environment: environment
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect(),
        ..case(name, text)
    }
}

/// Has both read each, and ends the test with all that differ.
fn compare(oracle: &Oracle, cases: &[Case]) -> Result<()> {
    let mut differ = Vec::new();
    for case in cases {
        let [(theirs, kubectl), (ours, plugin)] = oracle.both(case)?;
        let refused_well = ours != Met::Refused
            || ([4, 5, 6].contains(&plugin.code) && plugin.stderr.contains("hint: "));
        if theirs != ours || !refused_well || plugin.stderr.contains("panicked") {
            differ.push(format!(
                "{}: kubectl {theirs:?} ({})\n  plugin {ours:?} (exit {}: {})",
                case.name, kubectl.stderr, plugin.code, plugin.stderr
            ));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    Ok(())
}
