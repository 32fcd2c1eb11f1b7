//! A port of this machine that leads to a control-plane pod, through the mothership's API.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crds::labels;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, ResourceExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::error::{Error, innermost};
use crate::mothership::client::Connection;
use crate::mothership::view;
use crate::session::Session;

/// How long a port-forward may take to be made.
const DEADLINE: Duration = Duration::from_secs(10);

/// An open tunnel; it closes when this is dropped.
#[derive(Debug)]
pub struct Tunnel {
    address: SocketAddr,
    server: AbortHandle,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Tunnel {
    /// Listens on a port of the loopback interface, a free one for 0. Each connection gets a
    /// port-forward of its own, to a pod that is ready at that moment.
    ///
    /// # Errors
    /// [`Error::NotFound`] while no control-plane pod is ready, [`Error::Io`] when the port is
    /// taken, [`Error::Forbidden`] for a user who may not list pods.
    pub async fn open(
        session: &Session,
        connection: &Connection<'_>,
        cluster: &DynamicObject,
        port: u16,
    ) -> Result<Self, Error> {
        let name = cluster.name_any();
        let place = connection.namespace.clone();
        let target = view::api_port(cluster).ok_or_else(|| Error::NotFound {
            attempt: format!("reach the API of cluster {place}/{name}"),
            answer: "its port is not known yet".to_owned(),
            hint: format!(
                "wait for it: {}",
                session.kubectl(&format!("k0smotron wait {name}"), &place)
            ),
        })?;
        let pods: Api<Pod> = Api::namespaced(connection.client().clone(), &place);
        let selector = labels::to_selector(&labels::control_plane_selector(&name));
        let attempt = format!("list pods in namespace \"{place}\"");
        let listed = ListParams::default().labels(&selector);
        let found = connection.call(&attempt, || pods.list(&listed)).await?;
        let Some(pod) = ready(&found.items) else {
            return Err(Error::NotFound {
                attempt: format!("reach the API of cluster {place}/{name}"),
                answer: "no control-plane pod is ready".to_owned(),
                hint: format!(
                    "see why: {}",
                    session.kubectl(&format!("k0smotron status {name}"), &place)
                ),
            });
        };
        // The first one is made now: who may not make it is told before anything else starts.
        let attempt = format!("make a tunnel to pod {place}/{pod}");
        let ports = [target];
        let forward = connection.call(&attempt, || pods.portforward(&pod, &ports));
        forward.await?.abort();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(|source| Error::io(format!("listen on port {port}"), source))?;
        let address = listener
            .local_addr()
            .map_err(|source| Error::io("listen", source))?;
        session
            .out
            .detail(|| format!("tunnel: {address} leads to port {target} of {place}/{pod}"));
        let trouble = Arc::new(Mutex::new(None));
        let server = tokio::spawn(serve(
            listener,
            Route {
                pods,
                selector,
                port: target,
                trouble: Arc::clone(&trouble),
            },
        ));
        Ok(Self {
            address,
            server: server.abort_handle(),
            trouble,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What went wrong with the last connection that could not be carried.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().ok()?.clone()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Where connections go.
#[derive(Clone)]
struct Route {
    pods: Api<Pod>,
    selector: String,
    port: u16,
    trouble: Arc<Mutex<Option<String>>>,
}

async fn serve(listener: TcpListener, route: Route) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let route = route.clone();
                    connections.spawn(async move {
                        if let Err(error) = carry(&route, stream).await
                            && let Ok(mut trouble) = route.trouble.lock()
                        {
                            *trouble = Some(error);
                        }
                    });
                }
                // Out of descriptors, most likely: it passes.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(route: &Route, mut local: TcpStream) -> Result<(), String> {
    let text = |error: kube::Error| innermost(&error);
    let open = async {
        let listed = ListParams::default().labels(&route.selector);
        let found = route.pods.list(&listed).await.map_err(text)?;
        let pod = ready(&found.items).ok_or("no control-plane pod is ready")?;
        let mut forward = route
            .pods
            .portforward(&pod, &[route.port])
            .await
            .map_err(text)?;
        let remote = forward.take_stream(route.port).ok_or("no stream")?;
        Ok::<_, String>((forward, remote))
    };
    let (forward, mut remote) = tokio::time::timeout(DEADLINE, open)
        .await
        .map_err(|_| "no answer from the mothership".to_owned())??;
    // Either side may end first, and may do so without a word.
    let _ = tokio::io::copy_bidirectional(&mut local, &mut remote).await;
    drop(remote);
    forward.abort();
    Ok(())
}

/// The name of a pod that is ready and stays.
fn ready(pods: &[Pod]) -> Option<String> {
    let is_ready = |pod: &&Pod| {
        let conditions = pod
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref());
        let ready = conditions.into_iter().flatten();
        pod.metadata.deletion_timestamp.is_none()
            && ready
                .filter(|condition| condition.type_ == "Ready")
                .any(|condition| condition.status == "True")
    };
    pods.iter().find(is_ready).map(kube::ResourceExt::name_any)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_that_goes_or_is_not_ready_carries_nobody() {
        let pod = |name: &str, status: &str, deleted: bool| -> Pod {
            let mut metadata = json!({"name": name});
            if deleted {
                metadata["deletionTimestamp"] = json!("2026-11-22T10:00:00Z");
            }
            serde_json::from_value(json!({"metadata": metadata,
                "status": {"conditions": [{"type": "Ready", "status": status}]}}))
            .unwrap()
        };
        let pods = [
            pod("a", "False", false),
            pod("b", "True", true),
            pod("c", "True", false),
        ];
        assert_eq!(ready(&pods), Some("c".to_owned()));
        assert_eq!(ready(&pods[..2]), None);
    }
}
