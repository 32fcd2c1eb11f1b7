//! What an organisation lets its clusters be.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use support::light::children::at;
use support::light::kubectl::Said;
use support::light::scene::Scene;
use support::light::until;

use super::objects::{accepted, apply, cluster, refused, token, try_apply, with};

const VERSION: &str = "v1.36.3-k0s.2";

/// A policy for the scene's namespace only: other cases share the mothership.
fn policy(scene: &Scene, name: &str, spec: &Value) -> Value {
    let here = json!({"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}});
    json!({
        "apiVersion": "k0smotron.io/v1beta2",
        "kind": "ClusterPolicy",
        "metadata": {"name": format!("{}-{name}", scene.namespace)},
        "spec": with(json!({"namespaceSelector": here}), spec),
    })
}

/// Applies a policy, and waits until the webhook knows it: the object is judged as expected.
async fn known(
    scene: &Scene,
    policy: &Value,
    probe: &Value,
    judged: impl Fn(&Said) -> bool,
) -> Result<Said> {
    accepted(&apply(scene, policy).await?)?;
    let (said, _) = until(
        "the policy is known",
        Duration::from_secs(10),
        async || match try_apply(scene, probe).await {
            Ok(said) if judged(&said) => Ok(said),
            other => Err(format!("{other:?}")),
        },
    )
    .await?;
    Ok(said)
}

pub async fn a_policy_enforces_warns_or_only_counts(scene: &Scene) -> Result<()> {
    let exposed = cluster(
        "one",
        &json!({"version": VERSION, "replicas": 3, "service": {"type": "NodePort", "apiPort": 0, "konnectivityPort": 0}}),
    );
    let inside = cluster(
        "one",
        &json!({"version": VERSION, "service": {"type": "ClusterIP"}}),
    );
    let rules = json!({
        "serviceTypes": ["ClusterIP"],
        "replicas": {"max": 1},
        "maxTokenLifetime": "24h",
        "forbiddenFields": ["spec.persistence.hostPath"],
        "namespaceLimits": {"clusters": 1},
        "rules": [{
            "name": "flags",
            "expression": "!has(object.spec.controlPlaneFlags) || size(object.spec.controlPlaneFlags) < 2",
            "message": "no more than one flag",
        }],
    });
    let enforce = policy(scene, "rules", &rules);
    let name = at(&enforce, "/metadata/name").as_str().context("a name")?;
    let said = known(scene, &enforce, &exposed, |said| !said.well).await?;
    refused(
        &said,
        &[name, "spec.service.type", "spec.replicas", "ClusterIP"],
    )?;
    accepted(&apply(scene, &inside).await?)?;

    let flags = json!({"spec": {"controlPlaneFlags": ["--debug", "--verbose"]}});
    refused(
        &try_apply(scene, &with(inside.clone(), &flags)).await?,
        &[name, "flags", "no more than one flag"],
    )?;
    let path = json!({"spec": {"persistence": {"type": "hostPath", "hostPath": "/x"}}});
    let another = json!({"metadata": {"name": "two"}});
    refused(
        &try_apply(scene, &with(with(inside.clone(), &another), &path)).await?,
        &["spec.persistence.hostPath", name],
    )?;
    let scaled = scene
        .kubectl(&["scale", "kmc", "one", "--replicas=2"], "")
        .await?;
    refused(&scaled, &[name])?;
    let endless = token("one", &json!({"clusterName": "one"}));
    refused(
        &try_apply(scene, &endless).await?,
        &[name, "spec.expiry", "24h"],
    )?;
    let short = token("one", &json!({"clusterName": "one", "expiry": "1h"}));
    accepted(&try_apply(scene, &short).await?)?;
    // The second Cluster of a namespace that may have one, once the first is known.
    until("the limit holds", Duration::from_secs(10), async || {
        let said = try_apply(scene, &with(inside.clone(), &another)).await;
        match said {
            Ok(said) if !said.well && said.err.contains(name) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;

    // The same as a warning, and as a count.
    let warned = |said: &Said| said.well && said.err.contains("Warning:");
    let warn = with(enforce.clone(), &json!({"spec": {"action": "Warn"}}));
    let probe = with(exposed.clone(), &json!({"metadata": {"name": "two"}}));
    let said = known(scene, &warn, &probe, warned).await?;
    ensure!(
        said.err.contains("spec.service.type") && said.err.contains(name),
        "{said:?}"
    );
    let audit = with(enforce.clone(), &json!({"spec": {"action": "Audit"}}));
    let silent = |said: &Said| said.well && !said.err.contains(name);
    known(scene, &audit, &probe, silent).await?;
    Ok(())
}

pub async fn what_is_forbidden_does_not_come_in_by_changing_what_was_there(
    scene: &Scene,
) -> Result<()> {
    let mount = |path: &str| json!({"path": "/host", "readOnly": true, "hostPath": {"path": path}});
    let harmless = json!({"path": "/x", "emptyDir": {}});
    let spec = json!({"version": VERSION, "service": {"type": "ClusterIP"}});
    let one = cluster(
        "one",
        &with(
            spec.clone(),
            &json!({"mounts": [mount("/var/tmp")], "controlPlaneFlags": ["--debug"]}),
        ),
    );
    accepted(&apply(scene, &one).await?)?;
    let rules = json!({"forbiddenFields": ["spec.mounts[*].hostPath", "spec.controlPlaneFlags"]});
    let probe = cluster("two", &with(spec, &json!({"mounts": [mount("/var/tmp")]})));
    known(scene, &policy(scene, "fields", &rules), &probe, |said| {
        !said.well
    })
    .await?;

    let patched = async |patch: Value| {
        let patch = patch.to_string();
        let args = [
            "patch",
            "kmc",
            "one",
            "--type=json",
            "--dry-run=server",
            "--patch",
            &patch,
        ];
        scene.kubectl(&args, "").await
    };
    let replace =
        |path: &str, value: Value| json!([{"op": "replace", "path": path, "value": value}]);
    for (change, field) in [
        (
            replace("/spec/mounts/0/hostPath/path", json!("/")),
            "spec.mounts[0].hostPath",
        ),
        (
            replace("/spec/mounts/0/readOnly", json!(false)),
            "spec.mounts[0].hostPath",
        ),
        (
            replace("/spec/mounts", json!([mount("/"), mount("/var/tmp")])),
            "spec.mounts[0].hostPath",
        ),
        (
            replace(
                "/spec/mounts",
                json!([mount("/var/tmp"), mount("/var/tmp")]),
            ),
            "spec.mounts[1].hostPath",
        ),
        (
            replace("/spec/controlPlaneFlags", json!(["--debug", "--more"])),
            "spec.controlPlaneFlags",
        ),
    ] {
        refused(&patched(change).await?, &[field])?;
    }
    // Moved it is the same, and elsewhere everything goes on.
    for change in [
        replace("/spec/mounts", json!([harmless, mount("/var/tmp")])),
        replace("/spec/replicas", json!(3)),
    ] {
        let said = patched(change).await?;
        accepted(&said)?;
        ensure!(said.err.contains("because it was so before"), "{said:?}");
    }
    // Gone, it does not come back.
    let less = [
        "patch",
        "kmc",
        "one",
        "--type=merge",
        "--patch",
        r#"{"spec": {"mounts": null}}"#,
    ];
    accepted(&scene.kubectl(&less, "").await?)?;
    let back = json!([{"op": "add", "path": "/spec/mounts", "value": [mount("/var/tmp")]}]);
    refused(&patched(back).await?, &["spec.mounts[0].hostPath"])
}

pub async fn defaults_of_a_policy_are_merged_in_and_overwrite_nothing(scene: &Scene) -> Result<()> {
    let defaults = json!({"defaults": {
        "labels": {"team": "blue"},
        "spec": {
            "version": "v1.35.7-k0s.0",
            "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
            "controlPlaneFlags": ["--debug"],
        },
    }});
    let probe = cluster("one", &json!({}));
    let filled = |said: &Said| said.well && said.out.contains("256Mi");
    let said = known(scene, &policy(scene, "defaults", &defaults), &probe, filled).await?;
    let shown: Value = serde_json::from_str(&said.out).context("kubectl's JSON")?;
    ensure!(at(&shown, "/metadata/labels/team") == "blue", "{shown:#}");
    ensure!(
        at(&shown, "/spec/controlPlaneFlags/0") == "--debug",
        "{shown:#}"
    );

    // What only claims to be going stays, and gets them as well. Of an apply by the server the claim
    // is kept until then.
    let claim = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z",
        "finalizers": ["example.org/held"]}});
    let going = with(probe.clone(), &claim).to_string();
    let dry_run = [
        "apply",
        "--server-side",
        "--dry-run=server",
        "--output=json",
    ];
    let said = scene
        .kubectl(&[&dry_run[..], &["--filename", "-"]].concat(), &going)
        .await?;
    accepted(&said)?;
    ensure!(
        said.out.contains("256Mi") && said.out.contains("blue"),
        "{said:?}"
    );

    let own = json!({
        "metadata": {"labels": {"team": "red"}},
        "spec": {"version": VERSION, "resources": {"requests": {"cpu": "2"}},
            "controlPlaneFlags": ["--verbose"]},
    });
    let said = try_apply(scene, &with(probe, &own)).await?;
    let shown: Value = serde_json::from_str(&said.out).context("kubectl's JSON")?;
    ensure!(at(&shown, "/metadata/labels/team") == "red", "{shown:#}");
    ensure!(at(&shown, "/spec/version") == VERSION, "{shown:#}");
    ensure!(
        at(&shown, "/spec/resources/requests/cpu") == "2",
        "{shown:#}"
    );
    ensure!(
        at(&shown, "/spec/resources/requests/memory") == "256Mi",
        "{shown:#}"
    );
    ensure!(
        at(&shown, "/spec/controlPlaneFlags") == &json!(["--verbose"]),
        "{shown:#}"
    );
    Ok(())
}

pub async fn an_expression_with_a_fault_is_refused_with_its_place(scene: &Scene) -> Result<()> {
    let faulty = |expression: &str| {
        policy(
            scene,
            "faulty",
            &json!({"rules": [{"name": "odd", "expression": expression}]}),
        )
    };
    let said = apply(scene, &faulty("object.spec.replicas > (1")).await?;
    refused(&said, &["spec.rules[0].expression", "line 1, column"])?;
    let wrong = policy(scene, "faulty", &json!({"versions": [">=1.35.0 <newest"]}));
    refused(&apply(scene, &wrong).await?, &["spec.versions[0]"])?;
    // What one field shows by itself is the schema's to refuse.
    let wrong = policy(scene, "faulty", &json!({"maxTokenLifetime": "a day"}));
    refused(&apply(scene, &wrong).await?, &["spec.maxTokenLifetime"])?;
    let sound = with(faulty("true"), &json!({"spec": {"action": "Audit"}}));
    accepted(&apply(scene, &sound).await?)
}

pub async fn the_status_counts_what_violates_a_policy_now(scene: &Scene) -> Result<()> {
    let spec = json!({"version": VERSION, "replicas": 3, "service": {"type": "ClusterIP"}});
    accepted(&apply(scene, &cluster("one", &spec)).await?)?;
    accepted(&apply(scene, &cluster("two", &spec)).await?)?;
    let bounded = policy(scene, "counted", &json!({"replicas": {"max": 1}}));
    let name = at(&bounded, "/metadata/name").as_str().context("a name")?;
    // Those that were there before are not touched, and counted.
    accepted(&apply(scene, &bounded).await?)?;
    let counts = async |expected: i64| {
        until(
            &format!("{expected} violations"),
            Duration::from_secs(30),
            async || {
                let said = scene
                    .kubectl(&["get", "kmcp", name, "--output=json"], "")
                    .await
                    .map_err(|error| error.to_string())?;
                let object: Value = serde_json::from_str(&said.out).unwrap_or_default();
                let status = at(&object, "/status");
                if at(status, "/violations") == expected {
                    Ok(object.clone())
                } else {
                    Err(format!("{status}"))
                }
            },
        )
        .await
    };
    let (object, took) = counts(2).await?;
    scene.say(format!("violations are counted after {took:?}"));
    let shown = at(&object, "/status/violating").to_string();
    ensure!(
        shown.contains("\"one\"") && shown.contains("\"two\""),
        "{shown}"
    );
    // What is mended is counted no more.
    accepted(
        &scene
            .kubectl(&["scale", "kmc", "one", "--replicas=1"], "")
            .await?,
    )?;
    counts(1).await?;
    Ok(())
}
