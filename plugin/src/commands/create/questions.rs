//! `create` without a name in a terminal: asks for what a person decides.

use super::{CreateArgs, ServiceType};
use crate::error::Error;
use crate::session::Session;
use crate::{flags, prompt};

/// Asks, and fills in the answers; an empty answer takes what stands in brackets.
pub async fn fill_in(session: &Session, args: &mut CreateArgs) -> Result<(), Error> {
    let name = until(session, "Name of the cluster:", |text| {
        flags::object_name(text)
    })
    .await?;
    let service = until(
        session,
        "How do workers reach it: NodePort, LoadBalancer or ClusterIP? [NodePort]",
        |text| match text.to_ascii_lowercase().as_str() {
            "" | "nodeport" => Ok(ServiceType::NodePort),
            "loadbalancer" => Ok(ServiceType::LoadBalancer),
            "clusterip" => Ok(ServiceType::ClusterIp),
            _ => Err("one of the three".to_owned()),
        },
    )
    .await?;
    let replicas = until(
        session,
        "How many control-plane pods? 3 survive the loss of any one [1]",
        |text| match text {
            "" => Ok(1),
            text => match text.parse::<u16>() {
                Ok(count) if count > 0 => Ok(count),
                _ => Err("a number from 1 on".to_owned()),
            },
        },
    )
    .await?;
    let version = until(
        session,
        &format!("Which k0s version? [{}]", crds::version::DEFAULT_VERSION),
        |text| match text {
            "" => Ok(None),
            text => text
                .parse::<crds::version::K0sVersion>()
                .map(|_| Some(text.to_owned()))
                .map_err(|error| error.to_string()),
        },
    )
    .await?;
    args.name = Some(name);
    args.service = service;
    args.replicas = replicas;
    args.version = version;
    Ok(())
}

/// Asks until the answer can be read.
async fn until<T>(
    session: &Session,
    question: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<T, Error> {
    loop {
        let answer = prompt::line(session, question).await?;
        match read(&answer) {
            Ok(value) => return Ok(value),
            Err(why) => session.out.note(&format!("  {why}")),
        }
    }
}
