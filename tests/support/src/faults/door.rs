//! The webhook of a run: where the API server asks it, and what it has told the API server of its
//! certificate.
//!
//! Each has a mothership of its own: one namespace and one policy that are shown as if they were all,
//! copies of the shipped configurations that ask it about these and about nothing else, and
//! definitions whose only use is that their conversion is asked for there.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use mothership::pki::Authority;
use mothership::proxy::{Face, Listening, Proxy, Record, Verb, View};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::history::{History, resource};
use crate::light::children::{at, text};
use crate::light::process;
use crate::light::rights::{self, Right};

/// What stands before the calls of the API server.
pub const PLACE: &str = "door: ";

/// The user that the tested webhooks are.
pub const USER: &str = "doors";

/// Where its certificate is.
pub const SECRET: &str = "Secret/k0smotron-webhook-certificate";

/// As the shipped configurations are called.
const SHIPPED: &str = "k0smotron";

/// The definitions whose conversion it is asked for.
const DEFINITIONS: [&str; 2] = ["clusters", "jointokenrequests"];

/// Which way the API server has to the webhook of a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// None is between them.
    Straight,
    /// Through a proxy that faults can be done at.
    Disturbed,
}

/// What the webhooks of all runs share.
pub struct Doors {
    admin: Client,
    configurations: Vec<(ApiResource, DynamicObject)>,
    /// Definitions that are there already and belong to no run.
    free: Mutex<Vec<usize>>,
    made: Mutex<usize>,
}

/// The door of one run.
pub struct Door {
    /// What stands before the webhook, where something does.
    pub proxy: Option<Arc<Proxy>>,
    /// Where the webhook listens.
    pub webhook: SocketAddr,
    /// Where it says how it is.
    pub health: SocketAddr,
    doors: Arc<Doors>,
    namespace: String,
    definitions: usize,
    front: Option<tokio::task::JoinHandle<()>>,
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(front) = &self.front {
            front.abort();
        }
    }
}

fn erased<K: kube::Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

fn definition(plural: &str, number: usize) -> String {
    format!("{plural}.door-{number}.example.org")
}

/// Whether a request writes what is the webhook's and in no namespace.
pub fn is_its(record: &Record, namespace: &str) -> bool {
    let call = &record.call;
    let name = call.name.as_str();
    match call.resource.as_str() {
        "clusterpolicies/status"
        | "validatingwebhookconfigurations"
        | "mutatingwebhookconfigurations" => call.verb == Verb::Patch && name == namespace,
        "customresourcedefinitions" => {
            let mut its = DEFINITIONS
                .iter()
                .map(|plural| format!("{plural}.k0smotron.io"));
            call.verb == Verb::Patch && its.any(|its| its == name)
        }
        _ => false,
    }
}

impl Doors {
    /// Takes what is shipped, and gives the user of all of them the shipped rights: to what has
    /// another name for each run without the name, to what is in its namespace in each.
    pub async fn start(admin: &Client) -> Result<Arc<Self>> {
        let shipped = rights::shipped(admin, "k0smotron-webhook").await?;
        let moved: Vec<_> = shipped
            .into_iter()
            .map(|right| Right {
                name: right.name.filter(|_| right.namespace.is_some()),
                namespace: None,
                ..right
            })
            .collect();
        rights::give(admin, moved.iter(), USER).await?;
        let mut configurations = Vec::new();
        for kind in [
            erased::<ValidatingWebhookConfiguration>(),
            erased::<MutatingWebhookConfiguration>(),
        ] {
            let api: Api<DynamicObject> = Api::all_with(admin.clone(), &kind);
            let shipped = api.get(SHIPPED).await?;
            configurations.push((kind, shipped));
        }
        Ok(Arc::new(Self {
            admin: admin.clone(),
            configurations,
            free: Mutex::default(),
            made: Mutex::default(),
        }))
    }

    /// Definitions that nobody else uses, whose conversion is asked for there.
    async fn definitions(&self, address: SocketAddr) -> Result<usize> {
        let lock = |numbers: &Mutex<Vec<usize>>| {
            let mut free = numbers.lock().unwrap_or_else(PoisonError::into_inner);
            free.pop()
        };
        let client = json!({"url": format!("https://{address}/convert"), "caBundle": null});
        let conversion = json!({"strategy": "Webhook", "webhook": {
            "conversionReviewVersions": ["v1"], "clientConfig": client}});
        let api: Api<DynamicObject> =
            Api::all_with(self.admin.clone(), &erased::<CustomResourceDefinition>());
        if let Some(number) = lock(&self.free) {
            let patch = json!({"spec": {"conversion": conversion}});
            for plural in DEFINITIONS {
                let name = definition(plural, number);
                api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
                    .await?;
            }
            return Ok(number);
        }
        let number = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            *made += 1;
            *made
        };
        let schema = json!({"openAPIV3Schema": {"type": "object",
            "x-kubernetes-preserve-unknown-fields": true}});
        for plural in DEFINITIONS {
            let name = definition(plural, number);
            let (_, group) = name.split_once('.').context("PLURAL.GROUP")?;
            let body = json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": name},
                "spec": {
                    "group": group, "scope": "Namespaced", "conversion": conversion,
                    "names": {"plural": plural, "kind": format!("Door{plural}")},
                    "versions": [{"name": "v1", "served": false, "storage": true, "schema": schema}],
                },
            });
            api.create(&PostParams::default(), &serde_json::from_value(body)?)
                .await
                .with_context(|| format!("creating {name}"))?;
        }
        Ok(number)
    }
}

/// A shipped configuration that asks at an address, about one namespace and the policy of its name.
fn pointed(shipped: &DynamicObject, namespace: &str, address: SocketAddr) -> Result<DynamicObject> {
    let mut object = DynamicObject {
        types: shipped.types.clone(),
        metadata: kube::api::ObjectMeta {
            name: Some(namespace.to_owned()),
            ..kube::api::ObjectMeta::default()
        },
        data: shipped.data.clone(),
    };
    let here = format!(
        "has(request.namespace) && request.namespace != '' \
         ? request.namespace == '{namespace}' : request.name == '{namespace}'"
    );
    let webhooks = object
        .data
        .get_mut("webhooks")
        .and_then(Value::as_array_mut);
    for webhook in webhooks.context("no webhooks")? {
        let path = text(webhook, "/clientConfig/url").rsplit_once('/');
        let path = path.context("a URL with a path")?.1.to_owned();
        let fields = webhook.as_object_mut().context("a webhook")?;
        let client = json!({"url": format!("https://{address}/{path}")});
        fields.insert("clientConfig".to_owned(), client);
        fields
            .entry("matchConditions")
            .or_insert_with(|| json!([]))
            .as_array_mut()
            .context("conditions")?
            .insert(0, json!({"name": "it-is-here", "expression": here}));
    }
    Ok(object)
}

/// An empty line at its end says nothing.
fn text_of(pem: &Value) -> Option<String> {
    let bytes = STANDARD.decode(pem.as_str()?).ok()?;
    Some(String::from_utf8(bytes).ok()?.trim_end().to_owned())
}

impl Door {
    /// A free place for a webhook, and an API server that asks there.
    pub async fn start(
        doors: &Arc<Doors>,
        history: &Arc<History>,
        namespace: &str,
        way: Way,
    ) -> Result<Self> {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let [webhook, health, front] = mothership::ports::free()?.map(local);
        let asked = match way {
            Way::Straight => webhook,
            Way::Disturbed => front,
        };
        let definitions = doors.definitions(asked).await?;
        for (kind, shipped) in &doors.configurations {
            let api = Api::all_with(doors.admin.clone(), kind);
            api.create(&PostParams::default(), &pointed(shipped, namespace, asked)?)
                .await
                .context("creating a webhook configuration")?;
        }
        let mut door = Self {
            proxy: None,
            webhook,
            health,
            doors: Arc::clone(doors),
            namespace: namespace.to_owned(),
            definitions,
            front: None,
        };
        if way == Way::Disturbed {
            let mut config = kube::Config::new(format!("https://{webhook}").parse()?);
            // The API server verifies it; here it is only passed on.
            config.accept_invalid_certs = true;
            let proxy = Arc::new(Proxy::to(PLACE, config)?);
            let (history, namespace) = (Arc::clone(history), namespace.to_owned());
            let serving = serve(Arc::clone(&proxy), history, namespace, front);
            door.front = Some(tokio::spawn(serving));
            door.proxy = Some(proxy);
        }
        Ok(door)
    }

    /// What the webhook is shown.
    pub fn view(&self) -> View {
        let names = DEFINITIONS.map(|plural| {
            let is = definition(plural, self.definitions);
            (format!("{plural}.k0smotron.io"), is)
        });
        View {
            namespace: self.namespace.clone(),
            names: names.into(),
        }
    }

    /// What holds its `caBundle`s.
    pub fn holders(&self) -> Vec<(Api<DynamicObject>, String)> {
        let client = &self.doors.admin;
        let configurations = self
            .doors
            .configurations
            .iter()
            .map(|(kind, _)| (Api::all_with(client.clone(), kind), self.namespace.clone()));
        let definitions = DEFINITIONS.map(|plural| {
            let kind = erased::<CustomResourceDefinition>();
            let name = definition(plural, self.definitions);
            (Api::all_with(client.clone(), &kind), name)
        });
        configurations.chain(definitions).collect()
    }

    /// Why the API server would not ask it, or not trust it.
    pub async fn is_open(&self, history: &History) -> Result<(), String> {
        process::is_ready(self.health).await?;
        let secret = history.object(&self.namespace, SECRET);
        let secret = secret.ok_or("there is no certificate")?;
        let authority = at(&secret, "/data/ca.crt");
        for (api, name) in self.holders() {
            let object = api.get(&name).await.map_err(|error| error.to_string())?;
            let conversion = at(&object.data, "/spec/conversion/webhook");
            let webhooks = at(&object.data, "/webhooks").as_array();
            let all = webhooks.into_iter().flatten().chain([conversion]);
            for webhook in all.filter(|webhook| !webhook.is_null()) {
                let bundle = at(webhook, "/clientConfig/caBundle");
                if text_of(bundle) != text_of(authority) {
                    return Err(format!("caBundle of {name} is not the CA: {bundle}"));
                }
            }
        }
        Ok(())
    }

    /// Somebody has it trust another CA.
    pub async fn break_bundle(&self, api: &Api<DynamicObject>, name: &str) -> Result<()> {
        let dir = tempfile::tempdir()?;
        let other = STANDARD.encode(Authority::create(dir.path(), "ca")?.cert());
        let object = api.get(name).await?;
        let place = if at(&object.data, "/webhooks").is_null() {
            "/spec/conversion/webhook/clientConfig/caBundle"
        } else {
            "/webhooks/0/clientConfig/caBundle"
        };
        let patch = json!([{"op": "add", "path": place, "value": other}]);
        let patch: json_patch::Patch = serde_json::from_value(patch)?;
        api.patch(name, &PatchParams::default(), &Patch::<()>::Json(patch))
            .await?;
        Ok(())
    }

    /// Nobody is asked there any more.
    pub async fn end(&self) -> Result<()> {
        for (kind, _) in &self.doors.configurations {
            let api: Api<DynamicObject> = Api::all_with(self.doors.admin.clone(), kind);
            api.delete(&self.namespace, &DeleteParams::default())
                .await?;
        }
        let policies: Api<DynamicObject> =
            Api::all_with(self.doors.admin.clone(), &resource("ClusterPolicy")?);
        // Most have none any more.
        let _ = policies
            .delete(&self.namespace, &DeleteParams::default())
            .await;
        let free = &self.doors.free;
        free.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.definitions);
        Ok(())
    }
}

/// Listens as the webhook, once it has a certificate.
async fn serve(proxy: Arc<Proxy>, history: Arc<History>, namespace: String, front: SocketAddr) {
    let mut listening: Option<(Value, Listening)> = None;
    loop {
        if let Some(secret) = history.object(&namespace, SECRET) {
            let authority = at(&secret, "/data/ca.crt");
            if listening.as_ref().is_none_or(|(of, _)| of != authority) {
                drop(listening.take());
                // What fails is tried again with the next look.
                if let Ok(now) = listen(&proxy, &secret, front).await {
                    listening = Some((authority.clone(), now));
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn listen(proxy: &Proxy, secret: &Value, front: SocketAddr) -> Result<Listening> {
    let decoded = |key: &str| -> Result<String> {
        let data = at(secret, "/data").get(key).and_then(Value::as_str);
        Ok(String::from_utf8(
            STANDARD.decode(data.unwrap_or_default())?,
        )?)
    };
    let authority = Authority::from_pem(&decoded("ca.crt")?, &decoded("ca.key")?)?;
    let face = Face::of_anybody(&authority)?;
    proxy.listen(TcpListener::bind(front).await?, face)
}
