//! Logs of pods: which there are, and their last lines.

use std::io;
use std::time::Duration;

use futures::{AsyncReadExt as _, StreamExt as _, stream};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::LogParams;
use kube::{Api, ResourceExt as _};

use crate::error::Error;
use crate::flags;
use crate::mothership::client::Connection;

/// So many lines of each log at most, the last ones.
pub const LINES: i64 = 4000;
/// So many bytes of each log at most, the first ones of those lines.
pub const BYTES: i64 = 2 * 1024 * 1024;
/// How many logs are read side by side.
const AT_ONCE: usize = 4;

/// A log that there should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub pod: String,
    pub container: String,
    /// Whether it is of the container that ran before the one that runs.
    pub previous: bool,
}

impl Wanted {
    /// Where it goes.
    pub fn path(&self) -> String {
        let previous = if self.previous { ".previous" } else { "" };
        format!("logs/{}/{}{previous}.log", self.pod, self.container)
    }

    /// What it is.
    pub fn what(&self) -> String {
        let which = if self.previous { "earlier run of " } else { "" };
        format!(
            "Log of {which}container {} of pod {}",
            self.container, self.pod
        )
    }
}

/// The logs of a pod: of each container that has run, and of its run before that.
pub fn wanted(pod: &Pod) -> Vec<Wanted> {
    let status = pod.status.as_ref();
    let of = |statuses: Option<&Vec<ContainerStatus>>| statuses.cloned().unwrap_or_default();
    let mut all = of(status.and_then(|status| status.init_container_statuses.as_ref()));
    all.extend(of(
        status.and_then(|status| status.container_statuses.as_ref())
    ));
    all.extend(of(
        status.and_then(|status| status.ephemeral_container_statuses.as_ref())
    ));
    let log = |container: &ContainerStatus, previous| Wanted {
        pod: pod.name_any(),
        container: container.name.clone(),
        previous,
    };
    all.iter()
        // The name becomes a path, and nobody checks what a status says.
        .filter(|container| flags::object_name(&container.name).is_ok())
        .flat_map(|container| {
            let has_run = container
                .container_id
                .as_ref()
                .is_some_and(|id| !id.is_empty());
            let last = container.last_state.as_ref();
            let ran_before = last.is_some_and(|state| state.terminated.is_some());
            [
                has_run.then(|| log(container, false)),
                ran_before.then(|| log(container, true)),
            ]
        })
        .flatten()
        .collect()
}

/// Whether there was more than is kept.
pub fn is_cut(text: &str) -> bool {
    usize::try_from(BYTES).is_ok_and(|limit| text.len() >= limit)
}

/// Reads logs, several side by side; in the order in which they were asked for.
pub async fn read(
    connection: &Connection<'_>,
    namespace: &str,
    wanted: Vec<Wanted>,
    since: Option<Duration>,
) -> Vec<(Wanted, Result<String, Error>)> {
    let api: Api<Pod> = Api::namespaced(connection.client().clone(), namespace);
    let api = &api;
    let reads = wanted.into_iter().map(|log| async move {
        let text = one(connection, api, namespace, &log, since).await;
        (log, text)
    });
    stream::iter(reads).buffered(AT_ONCE).collect().await
}

async fn one(
    connection: &Connection<'_>,
    api: &Api<Pod>,
    namespace: &str,
    log: &Wanted,
    since: Option<Duration>,
) -> Result<String, Error> {
    let parameters = LogParams {
        container: Some(log.container.clone()),
        previous: log.previous,
        since_seconds: since.map(|since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX)),
        tail_lines: Some(LINES),
        limit_bytes: Some(BYTES),
        timestamps: true,
        ..LogParams::default()
    };
    let attempt = format!(
        "read the {}log of container {} of pod {namespace}/{}",
        if log.previous { "earlier " } else { "" },
        log.container,
        log.pod
    );
    let read = || async {
        let stream = api.log_stream(&log.pod, &parameters).await?;
        let mut bytes = Vec::new();
        let limit = u64::try_from(BYTES).unwrap_or_default();
        let read: io::Result<usize> = stream.take(limit).read_to_end(&mut bytes).await;
        read.map_err(kube::Error::ReadEvents)?;
        Ok(bytes)
    };
    let bytes = connection.call(&attempt, read).await?;
    // A container may write anything.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_container_that_has_run_has_a_log_and_one_of_its_run_before() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "status": {
                "initContainerStatuses": [status("init", "containerd://1", false)],
                "containerStatuses": [
                    status("controller", "containerd://2", true), status("waits", "", false),
                    status("../../x", "containerd://3", false)],
            },
        }))
        .unwrap();
        let paths: Vec<String> = wanted(&pod).iter().map(Wanted::path).collect();
        assert_eq!(
            paths,
            [
                "logs/p/init.log",
                "logs/p/controller.log",
                "logs/p/controller.previous.log"
            ]
        );
        assert_eq!(wanted(&Pod::default()), []);
    }

    #[test]
    fn a_log_of_the_full_length_was_cut() {
        let limit = usize::try_from(BYTES).unwrap();
        assert!(is_cut(&"x".repeat(limit)));
        assert!(!is_cut(&"x".repeat(limit - 1)));
    }

    fn status(name: &str, id: &str, has_ended_before: bool) -> serde_json::Value {
        let last = if has_ended_before {
            json!({"terminated": {"exitCode": 1}})
        } else {
            json!({})
        };
        json!({"name": name, "containerID": id, "image": "", "imageID": "", "ready": true,
            "restartCount": 0, "lastState": last})
    }
}
