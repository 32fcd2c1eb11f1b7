//! The pod network of a cluster whose provider is not `custom`: a bridge on the node's own range,
//! where k0s would run its provider's pods. Pods of different nodes do not reach each other.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Node;
use kube::api::Api;
use serde_json::json;

use super::Context;
use crate::api;
use crate::paths::{make_dir, write_file};

const DIR: &str = "/etc/cni/net.d";

/// Writes the network's configuration once the node has its range, unless there is one already.
pub async fn configure(context: &Context) -> Result<()> {
    if configured(Path::new(DIR)) {
        return Ok(());
    }
    let nodes: Api<Node> = Api::all(api::client(&context.node_conf()).await?);
    let range = loop {
        let node = nodes.get_opt(&context.node_name).await;
        let range = node.ok().flatten().and_then(|node| node.spec?.pod_cidr);
        match range {
            Some(range) => break range,
            None => tokio::time::sleep(Duration::from_millis(300)).await,
        }
    };
    let network = json!({
        "cniVersion": "1.0.0",
        "name": "k0s-stand-in",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "k0s-pods",
                "isGateway": true,
                "ipMasq": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": range}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    make_dir(Path::new(DIR), 0o755)?;
    write_file(
        &Path::new(DIR).join("10-k0s-stand-in.conflist"),
        network.to_string(),
        0o644,
    )?;
    tracing::info!("pods get addresses of {range}");
    Ok(())
}

fn configured(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| {
        entries.any(|entry| {
            entry.is_ok_and(|entry| entry.file_name().to_string_lossy().contains(".conf"))
        })
    })
}
