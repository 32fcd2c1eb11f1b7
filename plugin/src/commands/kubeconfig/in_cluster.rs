//! `--in-cluster`: the address by which pods of the mothership reach a hosted API.

use crds::names;
use crds::v1beta2::ServiceType;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::json;

use crate::error::Error;
use crate::hosted::{Hosted, HostedConnection};
use crate::kubeconfig::merge::Entry;
use crate::mothership::view;
use crate::output::{self, Structured};
use crate::session::Session;

/// Name and port of the Service in front of a control plane; `None` while the port is not known.
fn address(cluster: &DynamicObject, namespace: &str) -> Option<(String, u16)> {
    let port = view::api_port(cluster)?;
    let type_ = view::text(cluster, "/spec/service/type")
        .and_then(|text| serde_json::from_value::<ServiceType>(json!(text)).ok())
        .unwrap_or_default();
    let service = names::service(&cluster.name_any(), type_);
    Some((format!("{service}.{namespace}.svc"), port))
}

/// The URL that pods of the mothership use, after a look whether the API server's certificate
/// holds its name.
///
/// # Errors
/// [`Error::NotFound`] while the port is not known, [`Error::Refused`] when the certificate does
/// not hold the name.
pub async fn server(
    session: &Session,
    place: &HostedConnection<'_>,
    entry: &Entry,
) -> Result<String, Error> {
    let namespace = &place.connection.namespace;
    let name = &place.name;
    let Some((host, port)) = address(&place.cluster, namespace) else {
        return Err(Error::NotFound {
            attempt: format!("find the Service of cluster {namespace}/{name}"),
            answer: "its port is not known yet".to_owned(),
            hint: format!(
                "wait for it: {}",
                session.kubectl(&format!("k0smotron wait {name}"), namespace)
            ),
        });
    };
    let alone = entry.clone().at(&place.hosted.server).named(&host);
    let named = Hosted {
        kubeconfig: output::structured(Structured::Yaml, &alone.alone(name))?,
        server: place.hosted.server.clone(),
        tunnel: None,
    };
    let client = named.client(session).await?;
    let there = place.connection.to(client.clone(), named.server);
    let attempt = format!("ask cluster {name} for its certificate");
    let asked = there.call(&attempt, || client.apiserver_version()).await;
    match asked {
        Err(Error::Unreachable { cause, .. }) if cause.contains("certificate") => {
            return Err(Error::Refused {
                attempt: "write a kubeconfig for pods of the mothership".to_owned(),
                causes: vec![format!(
                    "the API server's certificate does not hold {host}: {cause}"
                )],
                hint: "k0s makes that certificate when it starts, with the names of the Service: \
                       restart the control-plane pods one by one"
                    .to_owned(),
            });
        }
        Err(error) => session.out.note(&format!(
            "warning: whether the API server's certificate holds {host} could not be seen: {error}"
        )),
        Ok(_) => {}
    }
    session.out.note(&format!(
        "{host}:{port} leads there from pods of the mothership, and from nowhere else."
    ));
    Ok(format!("https://{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mothership::view::tests::cluster;

    #[test]
    fn pods_find_the_service_by_its_type_and_the_port_that_it_has() {
        let mut found = cluster(json!({"ports": {"api": 31443}}));
        assert_eq!(
            address(&found, "team-a"),
            Some(("kmc-demo-nodeport.team-a.svc".to_owned(), 31443))
        );
        found.data["spec"]["service"] = json!({"type": "LoadBalancer", "apiPort": 6443});
        found.data["status"] = json!({});
        assert_eq!(
            address(&found, "team-a"),
            Some(("kmc-demo-lb.team-a.svc".to_owned(), 6443))
        );
        found.data["spec"]["service"] = json!({"apiPort": 30443});
        let (host, _) = address(&found, "team-a").unwrap();
        assert_eq!(host, "kmc-demo.team-a.svc");
    }

    #[test]
    fn a_port_that_is_still_to_be_chosen_is_not_guessed() {
        let mut found = cluster(json!({}));
        found.data["spec"]["service"] = json!({"type": "NodePort", "apiPort": 0});
        assert_eq!(address(&found, "team-a"), None);
    }
}
