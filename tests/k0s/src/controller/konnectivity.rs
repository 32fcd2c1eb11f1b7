//! konnectivity-server: the way of the API server to kubelets, pods and webhooks.
//!
//! Its agents prove themselves with a client certificate of the cluster's CA (the kubelet's own),
//! where those of k0s use service account tokens; the stand-in's workers run the agent as a
//! process, which has none. Agents count the servers by the controllers' leases, so a controller
//! that comes or goes restarts no server and cuts no stream.

use anyhow::Result;

use super::Context;
use crate::args::Args;
use crate::paths::{chown, make_dir, text, user};
use crate::supervisor::Component;

/// The server, unless it is disabled.
pub fn component(context: &Context) -> Result<Option<Component>> {
    if !context.enabled("konnectivity-server") {
        return Ok(None);
    }
    let (paths, config) = (&context.paths, &context.config);
    let owner = user("konnectivity-server");
    let socket = paths.konnectivity_socket();
    if let Some(dir) = socket.parent() {
        make_dir(dir, 0o755)?;
        chown(dir, owner)?;
    }
    let pki = |file: &str| text(paths.pki(file));
    let args = Args::new([
        ("uds-name", text(&socket)),
        ("delete-existing-uds-file", "true".into()),
        ("mode", "grpc".into()),
        ("server-port", "0".into()),
        ("cluster-ca-cert", pki("ca.crt")),
        ("cluster-cert", pki("server.crt")),
        ("cluster-key", pki("server.key")),
        ("agent-port", config.konnectivity.agent_port.to_string()),
        ("admin-port", config.konnectivity.admin_port.to_string()),
        ("health-bind-address", "localhost".into()),
        ("health-port", "8092".into()),
        ("server-count", "1".into()),
        ("server-id", context.invocation.clone()),
        ("proxy-strategies", "destHost,defaultRoute,default".into()),
        ("graceful-shutdown-timeout", "1ns".into()),
        ("logtostderr", "true".into()),
        ("v", context.options.log_level.to_string()),
    ]);
    let program = paths.component("konnectivity-server")?;
    let mut component = Component::new("konnectivity", program, args.into_command_line(&[]));
    component.user = owner;
    Ok(Some(component))
}
