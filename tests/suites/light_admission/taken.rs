//! What somebody else has already.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use support::light::scene::Scene;
use support::light::until;

use super::objects::{accepted, apply, cluster, refused, try_apply, with};
use super::rules::plain;

const VERSION: &str = "v1.36.3-k0s.2";

pub async fn what_another_has_already_is_named(scene: &Scene) -> Result<()> {
    let exposed = |api: i32, konnectivity: i32| {
        json!({"version": VERSION, "externalAddress": "192.0.2.1", "service": {
            "type": "NodePort", "apiPort": api, "konnectivityPort": konnectivity}})
    };
    accepted(&apply(scene, &cluster("one", &exposed(31001, 31002))).await?)?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "taken"},
        "spec": {"type": "NodePort", "selector": {"a": "b"},
            "ports": [{"port": 80, "nodePort": 31003}]},
    });
    accepted(&apply(scene, &service).await?)?;
    let own = &scene.namespace;
    let names = [format!("{own}/one"), format!("{own}/taken")];
    for (spec, field, holder) in [
        (exposed(31001, 31005), "spec.service.apiPort", &names[0]),
        (
            exposed(31006, 31003),
            "spec.service.konnectivityPort",
            &names[1],
        ),
    ] {
        until("the holder is known", Duration::from_secs(10), async || {
            let said = try_apply(scene, &cluster("two", &spec)).await;
            match said {
                Ok(said) if refused(&said, &[field, holder]).is_ok() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
    }
    accepted(&try_apply(scene, &cluster("two", &exposed(31006, 31007))).await?)?;

    let behind = |host: &str| {
        json!({"version": VERSION, "ingress": {"apiHost": host, "konnectivityHost": format!("k-{host}"),
            "annotations": {"a": "b"}}})
    };
    // Who is not served, as nobody is behind an ingress yet, keeps nothing from others.
    let mut aside = behind("one.example.org");
    if let Some(fields) = aside.as_object_mut() {
        let service = json!({"type": "NodePort", "apiPort": 31009, "konnectivityPort": 0});
        fields.insert("service".to_owned(), service);
    }
    accepted(&apply(scene, &cluster("three", &aside)).await?)?;
    accepted(&apply(scene, &cluster("six", &exposed(31008, 31004))).await?)?;
    until(
        "what came after it is known",
        Duration::from_secs(10),
        async || match try_apply(scene, &cluster("four", &exposed(31008, 31010))).await {
            Ok(said) if refused(&said, &["spec.service.apiPort", "six"]).is_ok() => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
    .await?;
    accepted(&try_apply(scene, &cluster("four", &behind("one.example.org"))).await?)?;
    accepted(&apply(scene, &cluster("four", &exposed(31009, 31010))).await?)?;
    let served = with(
        cluster("three", &aside),
        &json!({"spec": {"ingress": null}}),
    );
    until(
        "who is served is known",
        Duration::from_secs(10),
        async || match try_apply(scene, &served).await {
            Ok(said) if refused(&said, &["spec.service.apiPort", "four"]).is_ok() => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
    .await?;

    // What is not there yet may come: a warning.
    let class = json!({"storage": {"etcd": {"persistence": {"storageClass": "fast"}}}});
    let said = try_apply(scene, &cluster("five", &with(plain(), &class))).await?;
    accepted(&said)?;
    ensure!(said.err.contains("fast"), "no word of the class: {said:?}");
    Ok(())
}

pub async fn what_another_namespace_has_is_refused_and_not_named(scene: &Scene) -> Result<()> {
    let other = format!("{}-tenant", scene.namespace);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}});
    accepted(&apply(scene, &namespace).await?)?;
    let exposed = |api: i32| {
        json!({"version": VERSION, "service": {
            "type": "NodePort", "apiPort": api, "konnectivityPort": 0}})
    };
    let there = async |object: &Value| -> Result<()> {
        let args = ["apply", "--namespace", &other, "--filename", "-"];
        accepted(&scene.kubectl(&args, &object.to_string()).await?)
    };
    there(&cluster("merger", &exposed(31011))).await?;
    // What is not honoured is not served, and keeps nothing.
    let later = with(exposed(31013), &json!({"monitoring": {"enabled": true}}));
    there(&cluster("later", &later)).await?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "payroll"},
        "spec": {"type": "NodePort", "selector": {"a": "b"},
            "ports": [{"port": 80, "nodePort": 31012}]},
    });
    there(&service).await?;
    for port in [31011, 31012] {
        until("the holder is known", Duration::from_secs(10), async || {
            let said = try_apply(scene, &cluster("one", &exposed(port))).await;
            match said {
                Ok(said)
                    if refused(&said, &["spec.service.apiPort", "already used by"]).is_ok() =>
                {
                    let named = [other.as_str(), "merger", "payroll", "Service "]
                        .into_iter()
                        .find(|word| said.err.contains(word));
                    named.map_or(Ok(()), |word| Err(format!("{word} is named: {said:?}")))
                }
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
    }
    accepted(&try_apply(scene, &cluster("one", &exposed(31013))).await?)?;
    let gone = ["delete", "namespace", &other, "--wait=false"];
    accepted(&scene.kubectl(&gone, "").await?)
}
