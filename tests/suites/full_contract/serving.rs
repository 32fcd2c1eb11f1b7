//! How the API server answers, and whom.

use anyhow::{Context as _, Result, ensure};
use kube::client::Body;
use kube::{Client, Config};
use support::full::clusters;
use support::full::world::World;

use crate::plane::{self, K0S, PLAIN, PLAIN_PORT, SANS};

/// The status of the answer to a read.
async fn status(config: Config, path: &str) -> Result<u16> {
    let request = http::Request::get(path).body(Body::empty())?;
    let answer = Client::try_from(config)?.send(request).await;
    Ok(answer
        .with_context(|| format!("asking for {path}"))?
        .status()
        .as_u16())
}

pub async fn the_api_answers_for_every_name_and_address_it_has(world: &World) -> Result<()> {
    let it = plane::plane(world).await?;
    let pod = plane::ready(world, K0S).await?;
    let address = clusters::address(&pod)?;
    let server = format!("https://{}:{}", it.address, it.api);
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "127.0.0.1",
        "10.96.0.1",
        &it.address,
        &address,
    ];
    for name in names.into_iter().chain(SANS) {
        let mut config = plane::stranger(&server, &it.ca).await?;
        config.tls_server_name = Some(name.to_owned());
        let status = status(config, "/readyz")
            .await
            .with_context(|| name.to_owned())?;
        ensure!(status == 200, "{name}: {status}");
    }
    let mut config = plane::stranger(&server, &it.ca).await?;
    config.tls_server_name = Some("somebody.else.example".to_owned());
    ensure!(
        status(config, "/readyz").await.is_err(),
        "it answers for any name"
    );
    Ok(())
}

pub async fn only_health_is_open_to_strangers_and_only_with_an_authentication_file(
    world: &World,
) -> Result<()> {
    let it = plane::plane(world).await?;
    let server = format!("https://{}:{}", it.address, it.api);
    for (path, expected) in [
        ("/readyz", 200),
        ("/livez", 200),
        ("/version", 401),
        ("/api", 401),
    ] {
        let config = plane::stranger(&server, &it.ca).await?;
        let status = status(config, path).await?;
        ensure!(status == expected, "{path}: {status}");
    }

    let pod = plane::plain(world).await?;
    let server = format!("https://{}:{PLAIN_PORT}", clusters::address(&pod)?);
    let command = ["cat", "/var/lib/k0s/pki/ca.crt"];
    let ca = clusters::exec(&plane::pods(world), PLAIN, &command).await?;
    for path in ["/readyz", "/version"] {
        let config = plane::stranger(&server, &ca).await?;
        let status = status(config, path).await?;
        ensure!(status == 401, "{path} without the file: {status}");
    }
    Ok(())
}
