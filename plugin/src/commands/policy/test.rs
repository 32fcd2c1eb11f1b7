//! `policy test`: what policies would say of objects in files, decided here or by the mothership.

use std::path::PathBuf;

use clap::Args;
use crds::admission::{self, Operation, Request, User};
use crds::lookup::Mothership;
use crds::policy::{Input, Policies, read_policy};
use crds::v1beta2::{ClusterPolicy, PolicyAction, PolicyKind};
use serde_json::Value;

use super::documents::{self, Document, namespace_of};
use super::report::{Line, Report, Result as Verdicted, Verdict};
use crate::commands::policy::cluster_state::{Known, ask, ask_policies};
use crate::commands::policy::schema;
use crate::error::Error;
use crate::output::Structured;
use crate::session::Session;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron policy test -f cluster.yaml\n\
    \x20 kubectl k0smotron policy test -f cluster.yaml --policy policies.yaml --namespace-labels tenant=true\n\
    \x20 kustomize build . | kubectl k0smotron policy test -f - -o json\n\n\
    Objects are decided about as new ones, by the code of the webhook, in the order of the files.\n\
    Namespaces in them are known, and Clusters count for the limits of those after them. What only\n\
    the mothership knows is not: node ports, host names and addresses that are taken, storage\n\
    classes and quotas.\n\
    kubectl apply --dry-run=server asks for all of it.")]
pub struct TestArgs {
    /// File with objects (YAML or JSON, any number of documents), - for standard input; may be
    /// given several times
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    pub filename: Vec<PathBuf>,
    /// File with policies, in place of the mothership's: nothing is asked there then; may be given
    /// several times
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
    /// Labels of the objects' namespace, such as tenant=true; the mothership's unless given
    #[arg(long, value_name = "LABELS", value_delimiter = ',', value_parser = label)]
    pub namespace_labels: Option<Vec<(String, String)>>,
    /// Output format; text unless given
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Structured>,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a label is written key=value".to_owned()),
    }
}

/// Decides about objects in files.
///
/// # Errors
/// [`Error::WouldBeRefused`], or whatever kept it from deciding.
pub async fn run(session: &Session, args: &TestArgs) -> Result<(), Error> {
    let out = &session.out;
    let mut objects = Vec::new();
    let mut known = Known::default();
    for path in &args.filename {
        for document in documents::read(path)? {
            match document.kind()? {
                Some("Cluster" | "JoinTokenRequest" | "ClusterPolicy") => objects.push(document),
                None if document.is_namespace() => known.put_namespace(&document)?,
                _ => out.note(&format!(
                    "{}: skipped: not a Cluster, JoinTokenRequest or ClusterPolicy",
                    document.source
                )),
            }
        }
    }
    if objects.is_empty() {
        return Err(Error::Usage {
            message: "there is nothing to test".to_owned(),
            hint: "name files with Clusters, JoinTokenRequests or ClusterPolicies with -f"
                .to_owned(),
        });
    }
    let (policies, namespace) = if args.policy.is_empty() {
        let connection = session.connect().await?;
        let policies = ask_policies(&connection).await?;
        let namespace = connection.namespace.clone();
        let labels = args.namespace_labels.is_none();
        ask(&connection, &objects, labels, session, &mut known).await?;
        (policies, namespace)
    } else {
        let namespace = session.global.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| "default".to_owned());
        (read_policies(&args.policy)?, namespace)
    };
    if let Some(labels) = &args.namespace_labels {
        for document in &objects {
            let name = namespace_of(&document.object, &namespace);
            let known = known.namespaces.entry(name.to_owned()).or_default();
            known.labels = labels.iter().cloned().collect();
        }
    }
    let policies = Policies::new(policies);
    let mut verdicts = Vec::new();
    for document in &objects {
        let verdict = verdict(document, &namespace, &policies, &known);
        if verdict.allowed && verdict.kind == "Cluster" {
            known.put_cluster(&verdict.namespace, &verdict.name, &document.object);
        }
        verdicts.push(verdict);
    }
    let refused = verdicts.iter().filter(|verdict| !verdict.allowed).count();
    let report = Report {
        allowed: refused == 0,
        objects: verdicts,
    };
    match args.output {
        Some(format) => out.structured(format, &report)?,
        None => out.data(&report.render(out.paint()))?,
    }
    if refused == 0 {
        Ok(())
    } else {
        Err(Error::WouldBeRefused {
            refused,
            of: report.objects.len(),
        })
    }
}

fn read_policies(paths: &[PathBuf]) -> Result<Vec<ClusterPolicy>, Error> {
    let mut policies = Vec::new();
    for path in paths {
        let before = policies.len();
        for document in documents::read(path)? {
            if document.kind()? == Some("ClusterPolicy") {
                let policy = read_policy(&document.object);
                policies.push(policy.map_err(|error| document.unreadable(&error.to_string()))?);
            }
        }
        if policies.len() == before {
            return Err(Error::Usage {
                message: format!("there is no ClusterPolicy in {}", path.display()),
                hint: "is it the right file? Objects to test are named with -f".to_owned(),
            });
        }
    }
    Ok(policies)
}

/// What all rules say about one object that is submitted as new. Pure.
fn verdict(
    document: &Document,
    namespace: &str,
    policies: &Policies,
    known: &dyn Mothership,
) -> Verdict {
    let object = &document.object;
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let name = object.pointer("/metadata/name").and_then(Value::as_str);
    let mut verdict = Verdict {
        source: document.source.clone(),
        kind: text("kind").to_owned(),
        namespace: namespace_of(object, namespace).to_owned(),
        name: name.unwrap_or_default().to_owned(),
        allowed: true,
        results: Vec::new(),
        not_selected: Vec::new(),
    };
    match text("kind") {
        "Cluster" => decide(&mut verdict, PolicyKind::Cluster, object, policies, known),
        "JoinTokenRequest" => {
            let kind = PolicyKind::JoinTokenRequest;
            decide(&mut verdict, kind, object, policies, known);
        }
        _ => {
            verdict.namespace.clear();
            own(&mut verdict, schema::check_policy(object), Vec::new());
        }
    }
    let refused = |line: &Line| line.result == Verdicted::Refused;
    verdict.allowed = !verdict.results.iter().any(refused);
    verdict
}

fn decide(
    verdict: &mut Verdict,
    kind: PolicyKind,
    object: &Value,
    policies: &Policies,
    known: &dyn Mothership,
) {
    let (namespace, name) = (verdict.namespace.clone(), verdict.name.clone());
    let mut submitted = object.clone();
    // The API server writes it in, where a file may leave it to the command line.
    if let Some(metadata) = submitted.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".to_owned(), Value::from(namespace.as_str()));
    }
    admission::schema_defaults(&mut submitted);
    let mut object = submitted.clone();
    let request = |object| Request {
        operation: Operation::Create,
        sub_resource: None,
        namespace: &namespace,
        name: &name,
        user: User::default(),
        object: Some(object),
        old_object: None,
        dry_run: true,
    };
    let before = request(&submitted);
    let input = Input {
        request: &before,
        kind,
        mothership: known,
    };
    // In the webhook's order: a policy may choose what the product would choose otherwise.
    policies.apply_defaults(&input, &mut object);
    let itself = match kind {
        PolicyKind::Cluster => admission::Kind::Cluster,
        PolicyKind::JoinTokenRequest => admission::Kind::JoinTokenRequest,
    };
    let filled = admission::default(itself, &request(&object));
    let after = request(filled.as_ref().unwrap_or(&object));
    let decision = admission::validate(itself, &after, known);
    let errors = decision.errors.iter().map(ToString::to_string);
    own(verdict, errors.collect(), decision.warnings);
    if !after
        .object
        .is_some_and(|object| schema::fits(kind, object))
    {
        return;
    }
    let input = Input {
        request: &after,
        ..input
    };
    policies.check(&input, &mut |finding| {
        let line = |result, message| Line {
            result,
            policy: Some(finding.policy.to_owned()),
            rule: finding.rule.to_owned(),
            message,
        };
        let result = match finding.action {
            PolicyAction::Enforce => Verdicted::Refused,
            PolicyAction::Warn => Verdicted::Warning,
            PolicyAction::Audit => Verdicted::Audit,
        };
        if finding.errors.is_empty() {
            verdict.results.push(line(Verdicted::Pass, String::new()));
        }
        let broken = finding.errors.iter();
        let broken = broken.map(|error| line(result, error.to_string()));
        verdict.results.extend(broken);
    });
    let not_selected = policies.not_selecting(&input);
    verdict.not_selected = not_selected.map(ToOwned::to_owned).collect();
}

/// What the rules of the kind itself say.
fn own(verdict: &mut Verdict, errors: Vec<String>, warnings: Vec<String>) {
    let line = |result, message| Line {
        result,
        policy: None,
        rule: "validation".to_owned(),
        message,
    };
    if errors.is_empty() && warnings.is_empty() {
        verdict.results.push(line(Verdicted::Pass, String::new()));
    }
    let errors = errors
        .into_iter()
        .map(|text| line(Verdicted::Refused, text));
    let warnings = warnings
        .into_iter()
        .map(|text| line(Verdicted::Warning, text));
    verdict.results.extend(errors.chain(warnings));
}

#[cfg(test)]
mod tests;
