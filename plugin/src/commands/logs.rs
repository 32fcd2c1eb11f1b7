//! `logs`: those of a control plane's containers, side by side.

use std::io;
use std::time::Duration;

use clap::Args;
use crds::{labels, names};
use futures::stream::{self, SelectAll};
use futures::{AsyncRead, AsyncReadExt as _, Stream, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt};

use crate::error::Error;
use crate::lines::Lines;
use crate::mothership::client::Connection;
use crate::output::Style;
use crate::session::Session;
use crate::{duration, flags, suggest};

/// What a control-plane pod runs, as k0s names it in its log.
const COMPONENTS: [&str; 6] = [
    "k0s",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "konnectivity",
    "kine",
];

/// How much of a line is shown, in bytes: what writes a log decides where its lines end.
const ROOM: usize = 1024 * 1024;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron logs demo\n\
    \x20 kubectl k0smotron logs demo kube-apiserver -f\n\
    \x20 kubectl k0smotron logs demo etcd --since 10m\n\
    \x20 kubectl k0smotron logs demo --pod kmc-demo-0 --previous")]
pub struct LogsArgs {
    /// Name of the cluster
    #[arg(value_parser = flags::object_name)]
    pub name: String,
    /// Whose lines: etcd, k0s, or what k0s runs, such as kube-apiserver; all but etcd unless given
    #[arg(value_name = "COMPONENT")]
    pub component: Option<String>,
    /// Stay, and print what is written; Ctrl-C ends it
    #[arg(short, long)]
    pub follow: bool,
    /// Only this pod
    #[arg(long, value_name = "POD", value_parser = flags::object_name)]
    pub pod: Option<String>,
    /// Of the container that ran before the one that runs
    #[arg(short, long)]
    pub previous: bool,
    /// Only what was written so long ago at most
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub since: Option<Duration>,
    /// So many lines of each pod, before a component is looked for
    #[arg(long, value_name = "N")]
    pub tail: Option<i64>,
    /// With the time of each line
    #[arg(long)]
    pub timestamps: bool,
}

/// Prints the logs of a control plane, each line behind its pod's name where there are several.
pub async fn run(session: &Session, args: &LogsArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let component = args.component.as_deref();
    let etcd = component == Some("etcd");
    let known = || COMPONENTS.into_iter().chain(["etcd"]);
    if let Some(component) = component
        && !known().any(|known| known == component)
    {
        return Err(Error::Usage {
            message: format!("there is no component \"{component}\""),
            hint: suggest::hint(component, known(), || {
                format!("known are {}", known().collect::<Vec<_>>().join(", "))
            }),
        });
    }
    connection.cluster(&args.name).await?;
    let pods = pods(session, &connection, args, etcd).await?;
    let container = if etcd {
        names::ETCD_CONTAINER
    } else {
        names::CONTROLLER_CONTAINER
    };
    let parameters = LogParams {
        container: Some(container.to_owned()),
        follow: args.follow,
        previous: args.previous,
        since_seconds: args
            .since
            .map(|since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX)),
        tail_lines: args.tail,
        timestamps: args.timestamps,
        ..LogParams::default()
    };
    let wanted = component.filter(|_| !etcd);
    let several = pods.len() > 1;
    let paint = session.out.paint();
    let api: Api<Pod> = Api::namespaced(connection.client().clone(), &connection.namespace);
    let mut lines = SelectAll::new();
    for pod in pods {
        let attempt = format!("read the log of pod {}/{pod}", connection.namespace);
        let log = connection
            .call(&attempt, || api.log_stream(&pod, &parameters))
            .await?;
        let prefix = several.then(|| paint.apply(Style::Dim, &format!("[{pod}] ")));
        lines.push(
            lines_of(log)
                .map(move |line| (prefix.clone(), line))
                .boxed(),
        );
    }
    while let Some((prefix, line)) = lines.next().await {
        let line = line.map_err(|source| Error::io("read the log", source))?;
        if wanted.is_none_or(|wanted| is_of(&line, wanted)) {
            let prefix = prefix.unwrap_or_default();
            let line = session.out.foreign(&line);
            session.out.data(&format!("{prefix}{line}\n"))?;
            if session.out.is_unread() {
                break;
            }
        }
    }
    Ok(())
}

fn lines_of(log: impl AsyncRead + Unpin) -> impl Stream<Item = io::Result<String>> {
    let begin = (log, Lines::new(ROOM), vec![0; 8192]);
    stream::try_unfold(Some(begin), async |state| -> io::Result<_> {
        let Some((mut log, mut lines, mut bytes)) = state else {
            return Ok(None);
        };
        let read = log.read(&mut bytes).await?;
        if read == 0 {
            return Ok(Some((lines.rest().into_iter().collect(), None)));
        }
        let ended = lines.feed(bytes.get(..read).unwrap_or_default());
        Ok(Some((ended, Some((log, lines, bytes)))))
    })
    .map_ok(|ended: Vec<String>| stream::iter(ended.into_iter().map(Ok)))
    .try_flatten()
}

async fn pods(
    session: &Session,
    connection: &Connection<'_>,
    args: &LogsArgs,
    etcd: bool,
) -> Result<Vec<String>, Error> {
    let place = &connection.namespace;
    let selector = if etcd {
        labels::etcd_selector(&args.name)
    } else {
        labels::control_plane_selector(&args.name)
    };
    let parameters = ListParams::default().labels(&labels::to_selector(&selector));
    let api: Api<Pod> = Api::namespaced(connection.client().clone(), place);
    let attempt = format!("list pods in namespace \"{place}\"");
    let found = connection
        .call(&attempt, || api.list_metadata(&parameters))
        .await?;
    let mut names: Vec<String> = found.items.iter().map(ResourceExt::name_any).collect();
    names.sort();
    let what = if etcd { "etcd" } else { "control-plane" };
    let missing = |answer: String, hint: String| {
        Err(Error::NotFound {
            attempt: format!("read the logs of cluster {place}/{}", args.name),
            answer,
            hint,
        })
    };
    match &args.pod {
        Some(pod) if names.contains(pod) => Ok(vec![pod.clone()]),
        Some(pod) => missing(
            format!("it has no {what} pod \"{pod}\""),
            match names.as_slice() {
                [] => "it has none at all".to_owned(),
                names => format!("it has {}", names.join(", ")),
            },
        ),
        None if names.is_empty() => missing(
            format!("it has no {what} pods yet"),
            format!(
                "see why: {}",
                session.kubectl(&format!("k0smotron status {}", args.name), place)
            ),
        ),
        None => Ok(names),
    }
}

/// Whether a line of k0s' log is of a component; k0s' own lines name none.
fn is_of(line: &str, component: &str) -> bool {
    let named = line
        .split_once("component=")
        .map(|(_, rest)| rest.trim_start_matches('"'));
    match named {
        None => component == "k0s",
        Some(rest) => {
            let end = rest.find(|c: char| c == '"' || c.is_whitespace());
            let found = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            // k0s calls the server of konnectivity by what it runs.
            found == component || (component == "konnectivity" && found.starts_with(component))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_log_without_lines_is_shown_without_being_kept() {
        let log = [vec![b'x'; 3 * ROOM], b"\nnext \xff".to_vec()].concat();
        let lines: Vec<_> = lines_of(futures::io::Cursor::new(log)).collect().await;
        let lines: Vec<String> = lines.into_iter().map(Result::unwrap).collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with(&format!("x [{} more bytes]", 2 * ROOM)));
        assert_eq!(lines[1], "next \u{fffd}");
    }

    #[test]
    fn lines_are_told_apart_by_the_component_that_k0s_names() {
        let api = r#"time="2026-11-22 10:00:00" level=info msg="I1122 ..." component=kube-apiserver stream=stderr"#;
        let quoted = r#"level=info component="konnectivity-server" msg=x"#;
        let own = r#"time="2026-11-22 10:00:00" level=info msg="starting""#;
        assert!(is_of(api, "kube-apiserver"));
        assert!(!is_of(api, "kube-scheduler"));
        assert!(is_of(quoted, "konnectivity"));
        assert!(is_of(own, "k0s"));
        assert!(!is_of(own, "kine"));
    }
}
