//! The shipped rights: all of a ServiceAccount's for a user of the suite's, or all but one.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::api::{Api, ListParams, ObjectMeta, PostParams};
use kube::{Client, ResourceExt as _};
use mothership::audit::Entry;

use super::PRODUCT;

const GROUP: &str = "rbac.authorization.k8s.io";

/// One verb that one rule allows with one resource, and with one name if the rule has names.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Right {
    /// The namespace of the binding, none for all of them.
    pub namespace: Option<String>,
    /// The API group, empty for the oldest one.
    pub group: String,
    /// The resource, with what is below it: `clusters/status`.
    pub resource: String,
    /// The only name that it holds for.
    pub name: Option<String>,
    /// The verb.
    pub verb: String,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        if !self.group.is_empty() {
            write!(f, " of {}", self.group)?;
        }
        Ok(())
    }
}

impl Right {
    /// Whether a request needs it.
    pub fn is_for(&self, entry: &Entry) -> bool {
        let Some(object) = &entry.object_ref else {
            return false;
        };
        let (resource, below) = self
            .resource
            .split_once('/')
            .unwrap_or((&self.resource, ""));
        let code = entry.response_status.as_ref().map(|status| status.code);
        // An apply to what is not there is a patch, and needs the right to create.
        let verb = match (entry.verb.as_str(), code, self.verb.as_str()) {
            ("patch", Some(201), wanted) => wanted == "create",
            ("patch", Some(403), wanted) => wanted == "create" || wanted == "patch",
            (asked, _, wanted) => asked == wanted,
        };
        verb && object.api_group == self.group
            && object.resource == resource
            && object.subresource == below
            && self.name.as_ref().is_none_or(|name| *name == object.name)
            && (self.namespace.as_ref()).is_none_or(|namespace| *namespace == object.namespace)
    }

    /// The same in another namespace than the product's, if it is one of the product's there: so
    /// many can have it beside each other.
    #[must_use]
    pub fn at(&self, home: &str) -> Self {
        let moved = |namespace: &String| match namespace.as_str() {
            PRODUCT => home.to_owned(),
            other => other.to_owned(),
        };
        Self {
            namespace: self.namespace.as_ref().map(moved),
            ..self.clone()
        }
    }

    fn rule(&self) -> PolicyRule {
        PolicyRule {
            api_groups: Some(vec![self.group.clone()]),
            resources: Some(vec![self.resource.clone()]),
            resource_names: self.name.clone().map(|name| vec![name]),
            verbs: vec![self.verb.clone()],
            ..PolicyRule::default()
        }
    }
}

/// A binding of the ServiceAccount's.
struct Bound {
    name: String,
    namespace: Option<String>,
    role: RoleRef,
}

async fn bound(admin: &Client, account: &str) -> Result<Vec<Bound>> {
    let is_its = |subjects: Option<&Vec<Subject>>| {
        subjects.into_iter().flatten().any(|subject| {
            subject.kind == "ServiceAccount"
                && subject.name == account
                && subject.namespace.as_deref() == Some(PRODUCT)
        })
    };
    let everything = ListParams::default();
    let wide: Api<ClusterRoleBinding> = Api::all(admin.clone());
    let narrow: Api<RoleBinding> = Api::all(admin.clone());
    let wide = wide.list(&everything).await?.into_iter();
    let narrow = narrow.list(&everything).await?.into_iter();
    let wide = wide
        .filter(|binding| is_its(binding.subjects.as_ref()))
        .map(|binding| Bound {
            name: binding.name_any(),
            namespace: None,
            role: binding.role_ref,
        });
    let narrow = narrow
        .filter(|binding| is_its(binding.subjects.as_ref()))
        .map(|binding| Bound {
            name: binding.name_any(),
            namespace: binding.namespace(),
            role: binding.role_ref,
        });
    Ok(wide.chain(narrow).collect())
}

fn subject(user: &str) -> Subject {
    Subject {
        api_group: Some(GROUP.to_owned()),
        kind: "User".to_owned(),
        name: user.to_owned(),
        namespace: None,
    }
}

fn named(name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        ..ObjectMeta::default()
    }
}

/// Gives a user every right that a ServiceAccount of the product is installed with, and no more:
/// each binding once more, for the user.
pub async fn grant(admin: &Client, account: &str, user: &str) -> Result<()> {
    for bound in bound(admin, account).await? {
        let name = format!("{}-{user}", bound.name);
        bind(admin, name, bound.namespace.as_deref(), bound.role, user).await?;
    }
    Ok(())
}

async fn bind(
    admin: &Client,
    name: String,
    namespace: Option<&str>,
    role: RoleRef,
    user: &str,
) -> Result<()> {
    let create = PostParams::default();
    let done = if let Some(namespace) = namespace {
        let binding = RoleBinding {
            metadata: named(name),
            role_ref: role,
            subjects: Some(vec![subject(user)]),
        };
        let bindings = Api::namespaced(admin.clone(), namespace);
        bindings.create(&create, &binding).await.map(drop)
    } else {
        let binding = ClusterRoleBinding {
            metadata: named(name),
            role_ref: role,
            subjects: Some(vec![subject(user)]),
        };
        let bindings = Api::all(admin.clone());
        bindings.create(&create, &binding).await.map(drop)
    };
    done.context("binding a role")
}

/// Every right that a ServiceAccount of the product is installed with; one that two rules give is
/// there twice.
pub async fn shipped(admin: &Client, account: &str) -> Result<Vec<Right>> {
    let wide: Api<ClusterRole> = Api::all(admin.clone());
    let mut all = Vec::new();
    for bound in bound(admin, account).await? {
        let rules = if bound.role.kind == "ClusterRole" {
            wide.get(&bound.role.name).await?.rules
        } else {
            let namespace = bound.namespace.as_deref().context("a Role without one")?;
            let narrow: Api<Role> = Api::namespaced(admin.clone(), namespace);
            narrow.get(&bound.role.name).await?.rules
        };
        for rule in rules.into_iter().flatten() {
            all.extend(rights(&rule, bound.namespace.as_deref()));
        }
    }
    ensure!(!all.is_empty(), "{account} has no rights");
    Ok(all)
}

fn rights(rule: &PolicyRule, namespace: Option<&str>) -> Vec<Right> {
    let names: Vec<Option<&String>> = match &rule.resource_names {
        Some(names) => names.iter().map(Some).collect(),
        None => vec![None],
    };
    let mut all = Vec::new();
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            for name in &names {
                all.extend(rule.verbs.iter().map(|verb| Right {
                    namespace: namespace.map(str::to_owned),
                    group: group.clone(),
                    resource: resource.clone(),
                    name: name.cloned(),
                    verb: verb.clone(),
                }));
            }
        }
    }
    all
}

/// Gives a user these rights and no others.
pub async fn give<'a>(
    admin: &Client,
    rights: impl Iterator<Item = &'a Right>,
    user: &str,
) -> Result<()> {
    let create = PostParams::default();
    let mut places: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for right in rights {
        let rules = places.entry(&right.namespace).or_default();
        rules.push(right.rule());
    }
    for (namespace, rules) in places {
        let metadata = named(user.to_owned());
        let kind = if let Some(namespace) = namespace {
            let body = Role {
                metadata,
                rules: Some(rules),
            };
            let roles = Api::namespaced(admin.clone(), namespace);
            roles.create(&create, &body).await?;
            "Role"
        } else {
            let body = ClusterRole {
                metadata,
                rules: Some(rules),
                aggregation_rule: None,
            };
            let roles = Api::all(admin.clone());
            roles.create(&create, &body).await?;
            "ClusterRole"
        };
        let role = RoleRef {
            api_group: GROUP.to_owned(),
            kind: kind.to_owned(),
            name: user.to_owned(),
        };
        bind(admin, user.to_owned(), namespace.as_deref(), role, user).await?;
    }
    Ok(())
}
