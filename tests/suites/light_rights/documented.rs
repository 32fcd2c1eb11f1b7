//! What is written about the rights is about those that are installed.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use mothership::paths;
use support::light::PRODUCT;

use super::Installed;

/// The first two cells of every row, by the name of the role.
type Rows = BTreeMap<String, Vec<String>>;

pub async fn each_rule_has_a_row_in_the_book(suite: &Installed) -> Result<()> {
    let admin = suite.world.admin();
    let wide: Api<ClusterRole> = Api::all(admin.clone());
    let narrow: Api<Role> = Api::namespaced(admin, PRODUCT);
    let ours = |name: &str| name.starts_with("k0smotron-");
    let mut installed = Rows::new();
    for role in wide.list(&ListParams::default()).await? {
        let name = role.name_any();
        if ours(&name) {
            let rows = role.rules.iter().flatten().map(row).collect();
            installed.insert(name, rows);
        }
    }
    for role in narrow.list(&ListParams::default()).await? {
        let name = role.name_any();
        let rows = role.rules.iter().flatten().map(row).collect();
        // Of two of one name the heading says which.
        if let Some(wide) = installed.remove(&name) {
            installed.insert(format!("{name} (ClusterRole)"), wide);
            installed.insert(format!("{name} (Role)"), rows);
        } else {
            installed.insert(name, rows);
        }
    }
    let page = paths::workspace().join("docs/rights.md");
    let written = written(&std::fs::read_to_string(page)?);
    ensure!(
        written == installed,
        "docs/rights.md says {written:#?}, installed is {installed:#?}"
    );
    Ok(())
}

fn row(rule: &PolicyRule) -> String {
    let list = |texts: &Option<Vec<String>>| texts.as_deref().unwrap_or_default().join(", ");
    let mut text = list(&rule.resources);
    let group = list(&rule.api_groups);
    if !group.is_empty() {
        text.push_str(" of ");
        text.push_str(&group);
    }
    if rule.resource_names.is_some() {
        text.push_str(" named ");
        text.push_str(&list(&rule.resource_names));
    }
    format!("{text} | {}", rule.verbs.join(", "))
}

fn written(page: &str) -> Rows {
    let mut rows = Rows::new();
    let mut role = String::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            heading.clone_into(&mut role);
        } else if let Some(cells) = line.strip_prefix("| ") {
            let cells: Vec<_> = cells.split(" | ").take(2).collect();
            if cells != ["resources", "verbs"] {
                rows.entry(role.clone())
                    .or_default()
                    .push(cells.join(" | "));
            }
        }
    }
    rows
}
