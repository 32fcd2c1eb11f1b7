//! A list of a hosted cluster's nodes, a page at a time, and what is counted of it.

use crds::v1beta2::StatusNodes;
use http::Response;
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, ObjectList, Request};
use kube::client::Body;
use kube::{Client, Resource as _};
use pki::PemPair;
use serde::{Deserialize, Serialize};

use crate::hosted::{Endpoint, HostedError, connect, deadline};

/// Nodes of one answer.
const PAGE: u32 = 500;
/// In bytes.
const LONGEST_VERSION: usize = 64;

/// A client, and an answer of which nothing is read yet.
pub(super) type Begun = (Client, Response<Body>);

pub(super) fn first_page() -> ListParams {
    ListParams::default().limit(PAGE)
}

pub(super) async fn begin(endpoint: &Endpoint, cert: &PemPair) -> Result<Begun, HostedError> {
    let client = connect(endpoint, Some(cert))?;
    let first = deadline(ask(&client, &first_page())).await?;
    Ok((client, first))
}

/// Asks for a page, of which nothing is read yet.
pub(super) async fn ask(client: &Client, page: &ListParams) -> Result<Response<Body>, kube::Error> {
    let request = Request::new(Seen::url_path(&(), None)).list(page);
    let request = request.map_err(kube::Error::BuildRequest)?;
    client.send(request.map(Body::from)).await
}

async fn read(answer: Response<Body>) -> Result<ObjectList<Seen>, HostedError> {
    let status = answer.status();
    if !status.is_success() {
        return Err(HostedError::Api {
            code: status.as_u16(),
            reason: status.canonical_reason().unwrap_or_default().to_owned(),
        });
    }
    deadline(async {
        let bytes = answer.into_body().collect().await?.to_bytes();
        serde_json::from_slice(&bytes).map_err(kube::Error::SerdeError)
    })
    .await
}

pub(super) async fn every_page(
    client: &Client,
    first: Response<Body>,
) -> Result<StatusNodes, HostedError> {
    let mut nodes = StatusNodes::default();
    let mut oldest: Option<semver::Version> = None;
    let (mut answer, mut page) = (first, first_page());
    loop {
        let list = read(answer).await?;
        for node in &list.items {
            nodes.joined += 1;
            nodes.ready += i32::from(node.is_ready());
            let text = &node.status.node_info.kubelet_version;
            if let Some(version) = kubelet(text)
                && oldest.as_ref().is_none_or(|oldest| version < *oldest)
            {
                oldest = Some(version);
                nodes.oldest_kubelet = Some(text.clone());
            }
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page.continue_token = Some(token),
            None => return Ok(nodes),
        }
        answer = deadline(ask(client, &page)).await?;
    }
}

/// `v1.36.3+k0s`; what stands behind the plus has no order.
///
/// A node says it of itself and no API looks at it, and it is written into a status of the mothership:
/// what looks like no version is none.
pub(super) fn kubelet(text: &str) -> Option<semver::Version> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".+-_".contains(&byte);
    if text.len() > LONGEST_VERSION || !text.bytes().all(fits) {
        return None;
    }
    let plain = text.strip_prefix('v').unwrap_or(text);
    let plain = plain.split_once('+').map_or(plain, |(plain, _)| plain);
    semver::Version::parse(plain).ok()
}

/// What is read of a Node.
#[derive(kube::Resource, Clone, Debug, Serialize, Deserialize)]
#[resource(inherit = Node)]
struct Seen {
    metadata: ObjectMeta,
    #[serde(default)]
    status: SeenStatus,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SeenStatus {
    conditions: Vec<NodeCondition>,
    node_info: SeenInfo,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SeenInfo {
    kubelet_version: String,
}

impl Seen {
    fn is_ready(&self) -> bool {
        self.status
            .conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    }
}
