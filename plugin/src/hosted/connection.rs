//! Requests to a hosted cluster.

use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client};

use super::{Hosted, ViaArgs};
use crate::error::Error;
use crate::mothership::client::Connection;
use crate::mothership::resources;
use crate::session::Session;
use crate::{escape, suggest};

/// A hosted cluster that is connected to: requests to it are told apart from those to the mothership.
pub struct HostedConnection<'a> {
    pub hosted: Hosted,
    pub client: Client,
    /// The mothership's, told to speak of the hosted API.
    pub connection: Connection<'a>,
    /// The Cluster as the mothership has it.
    pub cluster: DynamicObject,
    pub name: String,
}

impl<'a> HostedConnection<'a> {
    /// Finds the way to a cluster and connects to its API.
    pub async fn open(
        session: &Session,
        connection: &Connection<'a>,
        name: &str,
        way: &ViaArgs,
    ) -> Result<Self, Error> {
        let cluster = connection.cluster(name).await?;
        let hosted = Hosted::open(session, connection, &cluster, way).await?;
        let client = hosted.client(session).await?;
        let connection = connection.to(client.clone(), hosted.server.clone());
        Ok(Self {
            hosted,
            client,
            connection,
            cluster,
            name: name.to_owned(),
        })
    }

    /// Its nodes.
    pub fn nodes(&self) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &resources::nodes())
    }

    /// The node of this name.
    ///
    /// # Errors
    /// [`Error::NotFound`] with names that look alike.
    pub async fn node(&self, name: &str) -> Result<DynamicObject, Error> {
        let api = self.nodes();
        let attempt = format!("get node {name} of cluster {}", self.name);
        match self.connection.call(&attempt, || api.get(name)).await {
            Err(Error::NotFound {
                attempt, answer, ..
            }) => {
                let listed = ListParams::default();
                let all = self
                    .connection
                    .call("list nodes", || api.list_metadata(&listed))
                    .await?;
                let names = all.items.iter().map(kube::ResourceExt::name_any);
                let names: Vec<String> =
                    names.map(|name| escape::line(&name).into_owned()).collect();
                let known = names.iter().map(String::as_str);
                let hint = suggest::hint(name, known, || match names.as_slice() {
                    [] => "no node has joined".to_owned(),
                    names => format!("there are {}", names.join(", ")),
                });
                Err(Error::NotFound {
                    attempt,
                    answer,
                    hint,
                })
            }
            other => other,
        }
    }
}
